"""Decides whether a correction counts. Pure."""

from typing import NamedTuple

from aggregator.domain.rollup import ORGANIZATION, ORIGINAL, Decision


class Original(NamedTuple):
    """The ledger row that a correction refers to."""

    series_id: int
    credits: int
    corrected: int  # sum of its corrections so far
    held: bool
    is_correction: bool


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
