"""Compares rebuilt rollups with the live ones: the sums to add to the live ones to make them equal. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple, TypeVar

from flexcredits_schemas.calendar import EPOCH

from aggregator.domain.rollup import Rollups

Key = TypeVar("Key", bound=tuple[Any, ...])
Cells = Mapping[Any, list[int]]


class Months(NamedTuple):
    """Sums to add to the monthly tables besides those of their days, by (organization, first day since 1970, ...)."""

    months: dict[tuple[int, int, int], list[int]]
    organization_months: dict[tuple[int, int, str, int], list[int]]
    attributed_months: dict[tuple[int, int, int], list[int]]


class TableDifference(NamedTuple):
    """The differences in one table: numbers of rows, and micro-credits and events of the live and the rebuilt rows."""

    table: str
    rows: int
    differing: int
    live: tuple[int, int]
    rebuilt: tuple[int, int]


def difference(rebuilt: Mapping[Key, list[int]], live: Mapping[Key, list[int]]) -> dict[Key, list[int]]:
    """Sums that make `live` equal to `rebuilt`. A missing row counts as zero, on either side."""
    nothing = [0, 0]
    found = {}
    for key in rebuilt.keys() | live.keys():
        wanted, kept = rebuilt.get(key, nothing), live.get(key, nothing)
        if wanted != kept:
            found[key] = [wanted[0] - kept[0], wanted[1] - kept[1]]
    return found


def rollup_differences(rebuilt: Rollups, live: Rollups) -> Rollups:
    """The differences of every table.

    The partition in the key of organization days only keeps aggregators off each other's rows, and a change of the time
    zone does not preserve it. If the partitions of a day add up to the same sum, the day does not differ.
    """
    days = difference(rebuilt.organization_days, live.organization_days)
    sums: dict[tuple[int, int, str], list[int]] = {}
    for (organization_id, day, product, _), (credits, events) in days.items():
        cell = sums.setdefault((organization_id, day, product), [0, 0])
        cell[0] += credits
        cell[1] += events
    return Rollups(
        difference(rebuilt.quarters, live.quarters),
        difference(rebuilt.days, live.days),
        {key: cell for key, cell in days.items() if sums[key[:3]] != [0, 0]},
        difference(rebuilt.corrections, live.corrections),
        difference(rebuilt.late, live.late),
        difference(rebuilt.attributed_days, live.attributed_days),
    )


def in_months(days: Cells, months: Cells, parts: int) -> dict[Any, list[int]]:
    """The total change of each month: the missing sums of its own rows, and the changes of its days.

    The key of a month has the first `parts` parts of the keys of its days.
    """
    changed = {key: list(cell) for key, cell in months.items()}
    for key, (credits, events) in days.items():
        cell = changed.setdefault(month_key(key, parts), [0, 0])
        cell[0] += credits
        cell[1] += events
    return {key: cell for key, cell in changed.items() if cell != [0, 0]}


def month_key(key: tuple[Any, ...], parts: int) -> tuple[Any, ...]:
    return key[0], first_of_month(key[1]), *key[2:parts]


def first_of_month(day: int) -> int:
    return (to_date(day).replace(day=1) - EPOCH).days


def to_date(day: int) -> date:
    return EPOCH + timedelta(days=day)


def total(cells: Cells) -> tuple[int, int]:
    return sum(cell[0] for cell in cells.values()), sum(cell[1] for cell in cells.values())


def summarize(rebuilt: Rollups, live: Rollups, differences: Rollups, months: Months) -> list[TableDifference]:
    """One line per table, without the runs."""
    pairs: dict[str, tuple[Cells, Cells, Cells]] = {
        "usage_15m": (rebuilt.quarters, live.quarters, differences.quarters),
        "usage_daily": (rebuilt.days, live.days, differences.days),
        "usage_organization_daily": (rebuilt.organization_days, live.organization_days, differences.organization_days),
        "usage_corrections": (rebuilt.corrections, live.corrections, differences.corrections),
        "usage_late": (rebuilt.late, live.late, differences.late),
        "usage_attributed_daily": (rebuilt.attributed_days, live.attributed_days, differences.attributed_days),
    }
    lines = [
        TableDifference(table, len(wanted), len(differing), total(kept), total(wanted))
        for table, (wanted, kept, differing) in pairs.items()
    ]
    monthly: dict[str, tuple[Cells, Cells, Cells, int]] = {
        "usage_monthly": (rebuilt.days, differences.days, months.months, 3),
        "usage_organization_monthly": (
            rebuilt.organization_days, differences.organization_days, months.organization_months, 4,
        ),
        "usage_attributed_monthly": (
            rebuilt.attributed_days, differences.attributed_days, months.attributed_months, 3,
        ),
    }  # fmt: skip
    for table, (wanted, days, rest, parts) in monthly.items():
        changed = in_months(days, rest, parts)
        credits, events = total(changed)
        after = total(wanted)
        rows = len({month_key(key, parts) for key in wanted})
        lines.append(TableDifference(table, rows, len(changed), (after[0] - credits, after[1] - events), after))
    return lines
