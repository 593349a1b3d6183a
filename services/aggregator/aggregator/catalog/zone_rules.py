"""Records the time zone rules that days were counted by, and finds organizations whose days differ under the present
rules."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from flexcredits_schemas.zones import TZ_VERSION, changes_of, differ_since
from runtime.postgres.pool import Connection, Pool

from aggregator.db.statements import SQL


class Outdated(NamedTuple):
    """An organization whose days were counted by rules that have changed. `since` is None when the rules are
    unknown."""

    organization: str
    time_zone: str
    tz: str | None
    since: datetime | None


async def record_zone_rules(connection: Connection, organization: str | None = None) -> list[Outdated]:
    """Record the present rules for organizations that they were counted by. Returns the organizations counted by other
    rules.

    `organization` None checks all of them. An organization without counted usage gets the present rules. Safe to
    repeat.
    """
    outdated = []
    for row in await connection.fetch(SQL["select_zone_rules"], organization):
        changes = list(changes_of(row["time_zone"]))
        if row["changes"] is not None:
            since = _differ_since(row["changes"], changes)
            if since is None and (row["tz"], row["changes"]) == (TZ_VERSION, changes):
                continue
        elif row["is_used"]:
            if not row["is_recorded"]:
                await connection.execute(SQL["set_zone_rules"], row["organization_id"], row["time_zone"], None, None)
            outdated.append(Outdated(row["organization"], row["time_zone"], None, None))
            continue
        else:
            since = None
        if since is None:
            await set_zone_rules(connection, row["organization_id"], row["time_zone"])
        else:
            outdated.append(Outdated(row["organization"], row["time_zone"], row["tz"], since))
    return outdated


async def note_unknown_zones(pool: Pool, unknown: Mapping[int, str]) -> None:
    """Record the organizations whose usage is held because their zone's rules are unknown. Safe to repeat."""
    numbers = sorted(unknown)
    if numbers:
        reasons = [f"time zone {unknown[number]!r} is not in tz {TZ_VERSION}" for number in numbers]
        await pool.execute(SQL["insert_unknown_zones"], numbers, reasons)
    await pool.execute(SQL["delete_known_zones"], numbers)


async def set_zone_rules(connection: Connection, organization_id: int, time_zone: str) -> None:
    """Record that the days of the organization are counted by the present rules."""
    await connection.execute(SQL["set_zone_rules"], organization_id, time_zone, TZ_VERSION, list(changes_of(time_zone)))


def _differ_since(counted: Sequence[int], today: Sequence[int]) -> datetime | None:
    """The instant at which the rules first differ, if it is past. A difference in the future has not moved any usage
    yet."""
    since = differ_since(counted, today)
    return None if since is None or since > time.time() else datetime.fromtimestamp(since, UTC)
