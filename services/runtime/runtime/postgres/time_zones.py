"""Compares the rules of time zones that a process goes by with those of its Postgres, which has files of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from runtime.postgres.pool import Connection, Pool

log = structlog.get_logger()

DAY_S = 86_400
SAMPLED_DAYS = range(-400, 400, 7)
"""A date at which clocks change moves by weeks, so a sample each week finds a changed rule. It takes half a second."""

OFFSETS = """
SELECT name, array_agg(extract(epoch FROM (to_timestamp(at) AT TIME ZONE name) - (to_timestamp(at) AT TIME ZONE 'UTC'))::integer
    ORDER BY place) AS offsets
FROM unnest($1::text[]) AS name CROSS JOIN unnest($2::bigint[]) WITH ORDINALITY AS a(at, place)
WHERE name = 'UTC' OR name IN (SELECT p.name FROM pg_timezone_names p)
GROUP BY name
"""


def sampled_instants() -> list[int]:
    """Seconds since 1970, a week apart, around now."""
    today = int(time.time()) // DAY_S
    return [(today + day) * DAY_S for day in SAMPLED_DAYS]


@dataclass
class ZoneRules:
    """Whose rules this process goes by, for its probe and for answers."""

    version: str
    """Release of tz, such as 2026f."""
    names: Sequence[str]
    offset_at: Callable[[str, int], int]
    """Seconds east of Greenwich in a zone at a second since 1970."""
    differing: list[str] | None = None
    """Zones for which Postgres has other rules, or none; None: not compared yet."""

    async def compare(self, pool: Pool) -> None:
        """Find the zones for which Postgres differs, around now. It decides nothing: no sum is made by Postgres' rules."""
        async with pool.acquire() as connection:
            self.differing = await self.differing_zones(connection, sampled_instants())
        if self.differing:
            log.warning("Postgres has other rules of time zones", tz=self.version, zones=self.differing)

    async def differing_zones(self, connection: Connection, instants: Sequence[int]) -> list[str]:
        """Names whose offsets at these seconds since 1970 differ in Postgres."""
        try:
            rows = await connection.fetch(OFFSETS, sorted(self.names), instants)
        except (asyncpg.UndefinedFileError, asyncpg.InvalidParameterValueError):
            rows = []  # an image without tz's files knows none
        theirs = {row["name"]: row["offsets"] for row in rows}
        return [
            name for name in sorted(self.names) if theirs.get(name) != [self.offset_at(name, at) for at in instants]
        ]

    def about(self) -> dict[str, object]:
        """For the readiness probe's answer."""
        return {"tz": self.version, "postgres_differs_in": self.differing}
