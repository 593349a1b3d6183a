"""Another time zone for an organization that has usage: every day is made anew from quarters of an hour, in one transaction."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

import asyncpg
from flexcredits_schemas.zones import canonical_zone
from runtime.postgres import Connection

from aggregator.catalog import SQL
from aggregator.periods import local_day
from aggregator.rebuild import CannotRebuild
from aggregator.rollup import empty_rollups
from aggregator.store import CATALOG_LOCK, add_rollups

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
Key = TypeVar("Key")


@dataclass(frozen=True)
class ZoneChange:
    """What moved. `kept_before` is the first UTC day of which quarters of an hour are left: older days stay as they are."""

    organization: str
    old: str
    new: str
    rows_moved: int
    kept_before: date


class Undone(Exception):
    """Takes the transaction of a dry run back."""


async def change_time_zone(
    connection: Connection, organization: str, time_zone: str, *, dry_run: bool = False
) -> ZoneChange:
    """Move an organization's days, months, corrections and late usage to another zone. Raises CannotRebuild.

    Counting waits for it: batches place usage by the zone that they know, and read it again when this is committed.
    """
    accepted = canonical_zone(time_zone)
    if accepted is None:
        raise CannotRebuild(f"{time_zone!r} is not accepted: use an IANA name, such as Europe/Berlin, or UTC.")
    change: ZoneChange | None = None
    try:
        async with connection.transaction():
            await connection.execute(SQL["lock_catalog"], CATALOG_LOCK)
            change = await _change(connection, organization, accepted)
            if dry_run:
                raise Undone
    except Undone:
        pass
    assert change is not None
    return change


async def _change(connection: Connection, organization: str, new: str) -> ZoneChange:
    rows = await connection.fetch(SQL["select_organizations"], [organization])
    if not rows or rows[0]["time_zone"] is None:
        raise CannotRebuild(f"no organization {organization!r} whose time zone is known: nothing of it is counted.")
    number, old = rows[0]["organization_id"], rows[0]["time_zone"]
    kept = await connection.fetchval(SQL["select_first_quarter_kept"])
    moved = await _move(connection, number, old, new) if new != old else 0
    if new != old:
        await connection.execute(SQL["set_time_zone"], number, new)
        await connection.execute(SQL["insert_zone_change"], number, new)
        await connection.execute(SQL["forget_empty_rows"], [number], *EVER)
        # Each partition's share of a day cannot be told from quarters of an hour; only the sum over partitions is read.
        for table in ("days", "months"):
            await connection.execute(SQL[f"delete_organization_{table}"], number)
            await connection.execute(SQL[f"insert_organization_{table}"], number)
        await connection.execute(SQL["insert_totals"], [number])
        await connection.execute(SQL["insert_wakeup"], number)
    return ZoneChange(organization, old, new, moved, kept)


async def _move(connection: Connection, number: int, old: str, new: str) -> int:
    """Take every sum from its old day and give it to the new one; returns how many daily rows that touches."""
    moves = empty_rollups()
    quarters = [row[0] for row in await connection.fetch(SQL["select_quarters_used"], number)]
    days = ([local_day(quarter, zone) for quarter in quarters] for zone in (old, new))
    for row in await connection.fetch(SQL["sum_moved_quarters"], number, quarters, *days):
        for day, sign in ((row["was"], -1), (row["becomes"], 1)):
            _add(moves.days, (number, day, row["series_id"]), row, sign)
    for row in await connection.fetch(SQL["sum_corrected_quarters"], number):
        for zone, sign in ((old, -1), (new, 1)):
            _add(moves.corrections, (number, local_day(row["quarter"], zone), row["series_id"]), row, sign)
    for row in await connection.fetch(SQL["sum_late_quarters"], number):
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
