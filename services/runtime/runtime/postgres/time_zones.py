"""Compares the time zone rules of a process with those of its Postgres, which has its own files."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from runtime.postgres.pool import Connection, Pool

log = structlog.get_logger()

DAY_S = 86_400
SAMPLED_DAYS = range(-400, 400, 7)
"""Clock changes move by weeks, so a weekly sample finds a changed rule. It takes half a second."""

OFFSETS = """
SELECT name, array_agg(extract(epoch FROM (to_timestamp(at) AT TIME ZONE name) - (to_timestamp(at) AT TIME ZONE 'UTC'))::integer
    ORDER BY place) AS offsets
FROM unnest($1::text[]) AS name CROSS JOIN unnest($2::bigint[]) WITH ORDINALITY AS a(at, place)
WHERE name = 'UTC' OR name IN (SELECT p.name FROM pg_timezone_names p)
GROUP BY name
"""


def sampled_instants() -> list[int]:
    """Instants around now, one week apart, in seconds since 1970."""
    today = int(time.time()) // DAY_S
    return [(today + day) * DAY_S for day in SAMPLED_DAYS]


@dataclass
class ZoneRules:
    """The time zone rules of this process, for its probe and for answers."""

    version: str
    """Release of the tz database, such as 2026f."""
    names: Sequence[str]
    offset_at: Callable[[str, int], int]
    """Seconds east of UTC, for a zone and an instant in seconds since 1970."""
    differing: list[str] | None = None
    """Zones for which Postgres has other rules, or no rules; None: not compared yet."""

    async def compare(self, pool: Pool) -> None:
        """Find the zones for which Postgres differs around now. For information only: no sum uses the rules of
        Postgres."""
        async with pool.acquire() as connection:
            self.differing = await self.differing_zones(connection, sampled_instants())
        if self.differing:
            log.warning("Postgres has other rules of time zones", tz=self.version, zones=self.differing)

    async def differing_zones(self, connection: Connection, instants: Sequence[int]) -> list[str]:
        """Names of zones whose offsets at these instants differ in Postgres."""
        try:
            rows = await connection.fetch(OFFSETS, sorted(self.names), instants)
        except (asyncpg.UndefinedFileError, asyncpg.InvalidParameterValueError):
            rows = []  # an image without files of the tz database knows no zones
        theirs = {row["name"]: row["offsets"] for row in rows}
        return [
            name for name in sorted(self.names) if theirs.get(name) != [self.offset_at(name, at) for at in instants]
        ]

    def about(self) -> dict[str, object]:
        """Fields for the answer of the readiness probe."""
        return {"tz": self.version, "postgres_differs_in": self.differing}
