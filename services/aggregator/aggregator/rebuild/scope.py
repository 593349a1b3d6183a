"""What a rebuild compares: days of organizations, at one instant of Postgres."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from flexcredits_schemas.calendar import EPOCH, local_day, midnight
from runtime.postgres.pool import Connection

from aggregator.domain.rollup import Organization

LEDGER_DAYS = 464
"""Retention deletes usage that was received 466 days ago or earlier, and usage may be received an hour before its time."""


def ledger_begins() -> datetime:
    """The instant from which on the ledger has all usage."""
    return datetime.combine(datetime.now(UTC).date() - timedelta(days=LEDGER_DAYS), datetime.min.time(), UTC)


@dataclass(frozen=True)
class Days:
    """Local days `first` to `last`, both included, of organizations with the same or different zones."""

    first: date
    last: date
    organizations: Mapping[str, Organization]
    """Organizations with a known zone, by name: all of them, or the requested one."""

    @property
    def ids(self) -> list[int]:
        return sorted(organization.organization_id for organization in self.organizations.values())

    def begins(self) -> datetime:
        """The first instant of `first` in any of the zones."""
        return min(midnight(self.first, zone) for zone in self._zones())

    def ends(self) -> datetime:
        """The end of `last` in any of the zones."""
        after = min(self.last, date.max - timedelta(days=1)) + timedelta(days=1)
        return max(midnight(after, zone) for zone in self._zones())

    def spans(self) -> list[tuple[int, datetime, datetime]]:
        """For each organization, its number, and the begin and end of the days in its zone."""
        after = min(self.last, date.max - timedelta(days=1)) + timedelta(days=1)
        return [
            (at.organization_id, midnight(self.first, str(at.time_zone)), midnight(after, str(at.time_zone)))
            for at in self.organizations.values()
        ]

    def hold(self, bucket: int, time_zone: str) -> bool:
        """Whether the local day of a quarter of an hour is one of the days."""
        return (self.first - EPOCH).days <= local_day(bucket, time_zone) <= (self.last - EPOCH).days

    def _zones(self) -> set[str]:
        return {str(organization.time_zone) for organization in self.organizations.values()} or {"UTC"}


class Snapshot:
    """Postgres at one instant, read in short transactions.

    One long transaction would keep its locks on every partition that it has read. A process that creates or drops a
    partition would wait for them, and all batches would wait behind that process.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._connection = connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            await self._connection.execute(f"SET TRANSACTION SNAPSHOT '{self._name}'")
            yield self._connection
