"""Decides whether each use counts or is held, and sums those that count. Pure: no clock, no network, no database."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from flexcredits_schemas.calendar import QUARTER_S, local_day
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.rating.card import RateCard

from aggregator.domain.decode import UsageRecord
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Attribution, Run
from aggregator.domain.people.runs import Runs, add_run, sum_of_correction, sum_of_use
from aggregator.domain.rating import UnitRates, rate_quantities

ORGANIZATION, RATE, ORIGINAL = "organization", "rate", "original"
"""The things that held usage waits for."""

EVENT_CREDITS_MAX = 10**15
"""Limit of one event in micro-credits, the same as for an event that gives its credits. A mistake in a rate must not
overflow sums."""


NONE_FOLDED: Mapping[tuple[str, ...], SeriesKey] = {}


class Organization(NamedTuple):
    organization_id: int
    time_zone: str | None  # None: only seen in usage, its catalog event has not arrived


class Decision(NamedTuple):
    """A use with its organization, series, rate, attribution and run; `credits` is 0 while it is held.

    A correction has the attribution and the run of its original, once that is known.
    """

    use: UsageRecord
    organization_id: int
    series_id: int
    time_zone: str
    credits: int
    rate_id: int | None
    waits_for: str | None  # None: the use counts
    attribution_id: int | None
    run: Run | None
    unit_rates: UnitRates | None = None  # of usage with several quantities; then rate_id is None
    recorded_as: SeriesKey | None = None  # the series that stands for the use's own, beyond the limit of series


def missing_unit(decision: Decision) -> str | None:
    """The first unit without a rate of usage with several quantities."""
    return decision.unit_rates and decision.unit_rates.missing


class Rollups(NamedTuple):
    """Sums to add, [micro-credits, events], by the key columns of each table in their order."""

    quarters: dict[tuple[int, int, int], list[int]]  # organization, quarter of an hour since 1970, series
    days: dict[tuple[int, int, int], list[int]]  # organization, local day since 1970, series
    organization_days: dict[tuple[int, int, str, int], list[int]]  # organization, local day, product, partition
    corrections: dict[tuple[int, int, int], list[int]]  # as `days`; the second sum counts corrections, not events
    late: dict[tuple[int, int, int, str], list[int]]  # organization, local day, local day of receipt, product
    attributed_days: dict[tuple[int, int, int, int], list[int]]  # organization, local day, attribution, series


def decide(
    use: UsageRecord,
    organizations: Mapping[str, Organization],
    series_ids: Mapping[tuple[str, ...], int],
    card: RateCard,
    attribution_ids: Mapping[Attribution, int],
    folded_series: Mapping[tuple[str, ...], SeriesKey] = NONE_FOLDED,
) -> Decision:
    """Decide whether a use counts, or is held until its organization and its rate are known. Raises InvalidEvent if it
    can never count.

    `series_ids` has the number of the series that stands for the use's own if that is in `folded_series`. The rate is that
    of the use's own feature.
    """
    series = use.series
    organization_id, time_zone = organizations[series[0]]
    credits, rate_id, waits_for, unit_rates = use.credits, None, None, None
    if time_zone is None:
        credits, waits_for = 0, ORGANIZATION
    elif credits is None and use.quantities is not None:
        credits, unit_rates = rate_quantities(card, series, use.quantities, use.occurred)
        if unit_rates.missing is not None:
            waits_for = RATE
        elif credits > EVENT_CREDITS_MAX:
            raise InvalidEvent("their rates make it more than 10^9 credits", "/data/quantities")
    elif credits is None:
        assert use.quantity is not None
        assert use.unit is not None
        rate = card.rate_at(series[0], series[1], series[2], series[3], use.unit, use.occurred)
        if rate is None:
            credits, waits_for = 0, RATE
        else:
            credits, rate_id = rate.credits_of(use.quantity), rate.rate_id
            if credits > EVENT_CREDITS_MAX:
                raise InvalidEvent("its rate makes it more than 10^9 credits", "/data/quantity")
    attribution_id = None if use.attribution is None else attribution_ids[use.attribution]
    return Decision(
        use, organization_id, series_ids[series], time_zone or "", credits, rate_id, waits_for, attribution_id, use.run,
        unit_rates, folded_series.get(series),
    )  # fmt: skip


def empty_rollups() -> Rollups:
    return Rollups({}, {}, {}, {}, {}, {})


def fold(counted: Iterable[Decision], into: Rollups, times: int = 1) -> None:
    """Add decisions that count to `into`, or subtract them with `times` -1.

    The order does not matter, and folding parts adds up to folding the whole. A correction adds credits, not an event.
    """
    quarters, days, organization_days, corrections, late, attributed_days = into
    for use, organization_id, series_id, time_zone, credits, _, _, attribution_id, _, _, _ in counted:
        bucket = int(use.occurred // QUARTER_S)
        day = local_day(bucket, time_zone)
        credits, events = credits * times, 0 if use.corrects else times
        add(quarters, (organization_id, bucket, series_id), credits, events)
        add(days, (organization_id, day, series_id), credits, events)
        add(organization_days, (organization_id, day, use.series[1], use.partition), credits, events)
        if use.corrects:
            add(corrections, (organization_id, day, series_id), credits, times)
        received_bucket = int(use.received // QUARTER_S)
        if received_bucket > bucket and (received_day := local_day(received_bucket, time_zone)) > day:
            add(late, (organization_id, day, received_day, use.series[1]), credits, events)
        if attribution_id is not None:
            add(attributed_days, (organization_id, day, attribution_id, series_id), credits, events)


def fold_runs(counted: Iterable[Decision], into: Runs) -> None:
    """Add decisions that count, and are new in the ledger, to the sums of their runs. They cannot be subtracted."""
    for at in counted:
        if at.run is not None:
            use = at.use
            part = (
                sum_of_correction(at.credits)
                if use.corrects
                else sum_of_use(at.run, at.credits, round(use.occurred * 1e6), agent_of(at), at.attribution_id)
            )
            add_run(into, (at.organization_id, at.run.identity), part)


def agent_of(decision: Decision) -> str:
    """The agent of the series under which a use is recorded."""
    return decision.recorded_as.agent_id if decision.recorded_as else decision.use.series[4]


Key = TypeVar("Key")


def add(cells: dict[Key, list[int]], key: Key, credits: int, events: int) -> None:
    """Add to the sums of a key. A key whose sums are 0 afterwards is removed."""
    cell = cells.get(key)
    if cell is None:
        cells[key] = [credits, events]
    else:
        cell[0] += credits
        cell[1] += events
        if not cell[1] and not cell[0]:
            del cells[key]  # all of it was subtracted
