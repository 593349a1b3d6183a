"""Decides whether a correction counts. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Run
from aggregator.domain.rollup import ORGANIZATION, ORIGINAL, Decision


class Original(NamedTuple):
    """The ledger row that a correction refers to."""

    series_id: int
    credits: int
    corrected: int  # sum of its corrections so far
    held: bool
    is_correction: bool
    attribution_id: int | None
    run: Run | None


def follow_original(decision: Decision, original: Original | None, parts: Mapping[int, tuple[str, ...]]) -> Decision:
    """A correction with the attribution and the run of its original, which the event does not repeat.

    Beyond the limit of series, the original may be recorded under another series than the correction would be now. `parts`
    are the dimensions of the series of originals that differ.
    """
    if original is None:
        return decision
    recorded = parts.get(original.series_id)
    if recorded is not None and SeriesKey._make(decision.use.series).counts_as(recorded):
        decision = decision._replace(series_id=original.series_id)
    return decision._replace(attribution_id=original.attribution_id, run=original.run)


def validate_correction(decision: Decision, original: Original | None) -> str | None:
    """Check a correction. Returns what it waits for, or None when it counts. Raises ValueError with the reason if it
    can never count.

    A correction has the dimensions of its original, and original plus corrections never falls below 0.
    """
    if original is not None:
        if original.is_correction:
            raise ValueError("corrects a correction: correct the usage event itself")
        if original.series_id != decision.series_id:
            raise ValueError("the dimensions differ from the original's")
    if decision.waits_for == ORGANIZATION:
        return ORGANIZATION
    if original is None or original.held:
        return ORIGINAL
    if original.credits + original.corrected + (decision.use.credits or 0) < 0:
        raise ValueError("original plus corrections would fall below 0")
    return None
