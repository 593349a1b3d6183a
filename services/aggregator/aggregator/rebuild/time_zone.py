"""Moves an organization to another time zone, or to new rules of its zone: its days are recomputed from quarters of an
hour."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from flexcredits_schemas.calendar import EPOCH, local_day
from flexcredits_schemas.zones import canonical_zone, find_zone
from runtime.postgres.pool import Connection

from aggregator.catalog.zone_rules import record_zone_rules, set_zone_rules
from aggregator.db.catalog_cache import CATALOG_LOCK
from aggregator.db.rollups.rollups import add_rollups
from aggregator.db.statements import SQL
from aggregator.domain.rollup import Rollups, empty_rollups
from aggregator.rebuild.compare import difference
from aggregator.rebuild.live import cells_of
from aggregator.rebuild.scope import ledger_begins
from aggregator.rebuild.swap import WINDOW_DAYS, CannotRebuild

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
Key = TypeVar("Key")
DayKey = TypeVar("DayKey", bound=tuple[Any, ...])


@dataclass(frozen=True)
class ZoneChange:
    """The rows that moved. `kept_before` is the first UTC day of which quarters of an hour and ledger are complete: older days
    stay unchanged."""

    organization: str
    old: str
    new: str
    rows_moved: int
    kept_before: date


class Undone(Exception):
    """Rolls back the transaction of a dry run."""


async def change_time_zone(
    connection: Connection, organization: str, time_zone: str, *, dry_run: bool = False
) -> ZoneChange:
    """Move an organization's days, months, corrections and late usage to another zone. Raises CannotRebuild.

    Counting waits for this transaction: batches place usage by the zone that they know, and reload it after the commit.
    """
    accepted = canonical_zone(time_zone)
    if accepted is None:
        raise CannotRebuild(f"{time_zone!r} is not accepted: use an IANA name, such as Europe/Berlin, or UTC.")
    return await _alone(connection, lambda: _change(connection, organization, accepted), dry_run)


async def apply_zone_rules(connection: Connection, organization: str, *, dry_run: bool = False) -> ZoneChange:
    """Recompute the days of an organization by the present rules of its zone. Raises CannotRebuild.

    Counting waits for this transaction. The days may mix usage that was counted by older and by present rules.
    """
    return await _alone(connection, lambda: _recount(connection, organization), dry_run)


async def _alone(connection: Connection, work: Callable[[], Awaitable[ZoneChange]], dry_run: bool) -> ZoneChange:
    change: ZoneChange | None = None
    try:
        async with connection.transaction():
            await connection.execute(SQL["lock_catalog"], CATALOG_LOCK)
            change = await work()
            if dry_run:
                raise Undone
    except Undone:
        pass
    assert change is not None
    return change


async def _change(connection: Connection, organization: str, new: str) -> ZoneChange:
    number, old = await _find(connection, organization)
    kept = await _first_complete_day(connection)
    moved = 0
    if new != old:
        if await record_zone_rules(connection, organization) or find_zone(old) is None:
            # Otherwise sums would be subtracted from other days than they were added to.
            await _recount(connection, organization)
        moved = await _move(connection, number, old, new, kept)
        await connection.execute(SQL["set_time_zone"], number, new)
        await connection.execute(SQL["insert_zone_change"], number, new)
        await set_zone_rules(connection, number, new)
        await _sum_up(connection, number)
    return ZoneChange(organization, old, new, moved, kept)


async def _first_complete_day(connection: Connection) -> date:
    """The first UTC day of which all quarters of an hour and all rows of the ledger are kept."""
    kept: date = await connection.fetchval(SQL["select_first_quarter_kept"])
    return max(kept, ledger_begins().date())


async def _find(connection: Connection, organization: str) -> tuple[int, str]:
    rows = await connection.fetch(SQL["select_organizations"], [organization])
    if not rows or rows[0]["time_zone"] is None:
        raise CannotRebuild(f"no organization {organization!r} whose time zone is known: nothing of it is counted.")
    return rows[0]["organization_id"], rows[0]["time_zone"]


async def _sum_up(connection: Connection, number: int) -> None:
    """Recompute the rows of the organization from those of its series, and trigger totals and an evaluation."""
    await connection.execute(SQL["forget_empty_rows"], [number], *EVER)
    # Quarters of an hour do not show the share of each partition in a day. Only the sum over partitions is read.
    await connection.execute(SQL["delete_organization_days"], number)
    await connection.execute(SQL["insert_organization_days"], number)
    await connection.execute(SQL["delete_organization_months"], number)
    await connection.execute(SQL["insert_organization_months"], number)
    await connection.execute(SQL["insert_totals"], [number])
    await connection.execute(SQL["insert_wakeups"], [number])


async def _recount(connection: Connection, organization: str) -> ZoneChange:
    number, zone = await _find(connection, organization)
    today = datetime.now(UTC).date()
    # Complete in any zone.
    first = max(await _first_complete_day(connection) + timedelta(days=2), today - timedelta(days=WINDOW_DAYS))
    counted = await _count_days(connection, number, zone, (first - EPOCH).days)
    live = await _read_days(connection, number, first)
    moves = empty_rollups()._replace(
        days=difference(counted.days, live.days),
        corrections=difference(counted.corrections, live.corrections),
        late=difference(counted.late, live.late),
        attributed_days=difference(counted.attributed_days, live.attributed_days),
    )
    if any(moves):
        await add_rollups(connection, moves)
        await _sum_up(connection, number)
        await connection.execute(SQL["insert_rebuild"], [number], first, today)
    await set_zone_rules(connection, number, zone)
    return ZoneChange(organization, zone, zone, len(moves.days), first)


async def _count_days(connection: Connection, number: int, zone: str, first: int) -> Rollups:
    """The days from `first` (since 1970) on, recomputed from quarters of an hour and the ledger."""
    counted = empty_rollups()
    since = _instant(EPOCH)
    quarters = [row["quarter"] for row in await connection.fetch(SQL["select_quarters_used"], number, since)]
    days = [local_day(quarter, zone) for quarter in quarters]
    for row in await connection.fetch(SQL["sum_quarter_days"], number, quarters, days):
        _add(counted.days, (number, row["day"], row["series_id"]), row, 1)
    for row in await connection.fetch(SQL["sum_attributed_quarters"], number, quarters, days):
        _add(counted.attributed_days, (number, row["day"], row["attribution_id"], row["series_id"]), row, 1)
    for row in await connection.fetch(SQL["sum_corrected_quarters"], number, since):
        _add(counted.corrections, (number, local_day(row["quarter"], zone), row["series_id"]), row, 1)
    for row in await connection.fetch(SQL["sum_late_quarters"], number, since):
        day, received_day = local_day(row["quarter"], zone), local_day(row["received_quarter"], zone)
        if received_day > day:
            _add(counted.late, (number, day, received_day, row["product"]), row, 1)
    return counted._replace(
        days=_since(first, counted.days),
        corrections=_since(first, counted.corrections),
        late=_since(first, counted.late),
        attributed_days=_since(first, counted.attributed_days),
    )


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _since(first: int, cells: dict[DayKey, list[int]]) -> dict[DayKey, list[int]]:
    return {key: cell for key, cell in cells.items() if key[1] >= first}


async def _read_days(connection: Connection, number: int, first: date) -> Rollups:
    """The live rows of the days from `first` on, without those that are computed from the series."""
    key = [number], first, date.max
    return empty_rollups()._replace(
        days=cells_of(await connection.fetch(SQL["select_live_days"], *key)),
        corrections=cells_of(await connection.fetch(SQL["select_live_corrections"], *key)),
        late=cells_of(await connection.fetch(SQL["select_live_late"], *key)),
        attributed_days=cells_of(await connection.fetch(SQL["select_live_attributed_days"], *key)),
    )


async def _move(connection: Connection, number: int, old: str, new: str, kept: date) -> int:
    """Move every sum since `kept` from its old day to the new one. Returns the number of daily rows that change.

    Attributed usage has no quarters of an hour, which would cost a row for each person and quarter: the ledger has it.
    """
    moves = empty_rollups()
    since = _instant(kept)
    quarters = [row["quarter"] for row in await connection.fetch(SQL["select_quarters_used"], number, since)]
    days = [[local_day(quarter, zone) for quarter in quarters] for zone in (old, new)]
    for row in await connection.fetch(SQL["sum_moved_quarters"], number, quarters, *days):
        for day, sign in ((row["was"], -1), (row["becomes"], 1)):
            _add(moves.days, (number, day, row["series_id"]), row, sign)
    for row in await connection.fetch(SQL["sum_moved_attributed_quarters"], number, since, quarters, *days):
        for day, sign in ((row["was"], -1), (row["becomes"], 1)):
            _add(moves.attributed_days, (number, day, row["attribution_id"], row["series_id"]), row, sign)
    for row in await connection.fetch(SQL["sum_corrected_quarters"], number, since):
        for zone, sign in ((old, -1), (new, 1)):
            _add(moves.corrections, (number, local_day(row["quarter"], zone), row["series_id"]), row, sign)
    for row in await connection.fetch(SQL["sum_late_quarters"], number, since):
        for zone, sign in ((old, -1), (new, 1)):
            day, received_day = local_day(row["quarter"], zone), local_day(row["received_quarter"], zone)
            if received_day > day:
                _add(moves.late, (number, day, received_day, row["product"]), row, sign)
    await add_rollups(connection, moves)
    return len(moves.days)


def _add(cells: dict[Key, list[int]], key: Key, row: asyncpg.Record, sign: int) -> None:
    cell = cells.setdefault(key, [0, 0])
    cell[0] += sign * row["credits"]
    cell[1] += sign * row["events"]
