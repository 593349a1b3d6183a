"""Sums columns to rows of the rollup tables. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flexcredits_schemas.calendar import QUARTER_S, local_day
from flexcredits_schemas.events import UsageAgent
from numpy.typing import NDArray

from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.counting.attributed import AttributedDays
from aggregator.domain.counting.cells import Array, Cells, group
from aggregator.domain.counting.places import UNKNOWN, Places
from aggregator.domain.rollup import Rollups, add

_QUARTER_US = QUARTER_S * 1_000_000
_QUARTER_MS = QUARTER_S * 1000
_ZONE = 2**40


class Folded(NamedTuple):
    """Sums of columns: rows of usage_15m, usage_daily and usage_attributed_daily."""

    quarters: Cells
    days: Cells
    attributed: AttributedDays


def fold_columns(
    columns: UsageColumns, rows: NDArray[np.intp], credits: Array, places: Places, into: Rollups
) -> Folded:
    """The sums of these rows. Their sums by organization, and of late usage, are added to `into`. `credits` are the
    micro-credits of the rows; their total is below 2^63."""
    head = columns.head[rows]
    organization, series, product, zone = (
        places.organization[head], places.series[head], places.product[head], places.zone_of(head),
    )  # fmt: skip
    quarter = columns.occurred_us[rows] // _QUARTER_US
    day = _local_days(quarter, zone, places)
    one = np.ones(len(rows), np.int64)
    keys, sums = group([organization, quarter, series, day], credits, one)
    quarters = Cells(*keys[:3], *sums)
    day_keys, day_sums = group([keys[0], keys[3], keys[2]], *sums)
    partition = columns.partition[rows].astype(np.int64)
    names = places.products
    by_organization, amounts = group([organization, day, product, partition], credits, one)
    for number, on, name, at, amount, events in _rows(*by_organization, *amounts):
        add(into.organization_days, (number, on, names[name], at), amount, events)
    _fold_late(
        columns.received_ms[rows] // _QUARTER_MS, quarter, day, zone, organization, product, credits, places, into
    )
    attribution = places.attribution_of(columns.attribution[rows])
    is_attributed = np.flatnonzero(attribution != UNKNOWN)
    keys = [key[is_attributed] for key in (organization, day, attribution, series)]
    keys, sums = group(keys, credits[is_attributed], one[is_attributed])
    return Folded(quarters, Cells(*day_keys, *day_sums), AttributedDays(*keys, *sums))


def _fold_late(
    received: Array, quarter: Array, day: Array, zone: Array, organization: Array, product: Array, credits: Array,
    places: Places, into: Rollups,
) -> None:  # fmt: skip
    behind = np.flatnonzero(received > quarter)
    received_day = _local_days(received[behind], zone[behind], places)
    is_late = received_day > day[behind]
    late, received_day = behind[is_late], received_day[is_late]
    if len(late):
        keys, sums = group(
            [organization[late], day[late], received_day, product[late]], credits[late], np.ones(len(late), np.int64)
        )
        for number, on, received_on, name, amount, events in _rows(*keys, *sums):
            add(into.late, (number, on, received_on, places.products[name]), amount, events)


def _local_days(quarter: Array, zone: Array, places: Places) -> Array:
    """local_day() of each quarter of an hour in the zone of this number."""
    if not len(quarter):
        return quarter
    pairs, inverse = np.unique(zone * _ZONE + quarter, return_inverse=True)
    days = [local_day(pair % _ZONE, places.zones[pair // _ZONE]) for pair in pairs.tolist()]
    return np.array(days, np.int64)[inverse]


def _rows(*columns: Array) -> Iterator[tuple[int, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def latest_of_agents(
    columns: UsageColumns, rows: NDArray[np.intp], places: Places
) -> list[tuple[int, UsageAgent, float]]:
    """Number of the organization, agent, and time of the latest of these rows, for each head with an agent."""
    rows = rows[places.has_agent[columns.head[rows]]]
    if not len(rows):
        return []
    head = columns.head[rows]
    latest = np.full(len(places.series), -1, np.int64)
    np.maximum.at(latest, head, columns.occurred_us[rows])
    found = []
    for number in np.flatnonzero(latest >= 0).tolist():
        agent = places.heads.agents[number]
        assert agent is not None
        found.append((int(places.organization[number]), agent, int(latest[number]) / 1e6))
    return found
