"""What we read about single events, and about the hours in which the log took them."""

from datetime import datetime

from asyncpg import Record
from asyncpg.pgproto.pgproto import UUID
from runtime.postgres import Connection, load_sql

from query_api.ledger.domain import CountedZone, Dimensions, Entry, Hour, LedgerKey, Posting, RateUsed, Rejected

SQL = load_sql("query_api")


class LedgerReads:
    """The part of `store.Reading` that knows the ledger. Credits are micro-credits."""

    _connection: Connection
    _id: int | None

    async def select_receipt(self, key: LedgerKey) -> Entry | None:
        """An event of the organization that is counted or held."""
        row = await self._connection.fetchrow(SQL["select_receipt"], self._id, key.ledger_bucket, UUID(key.identity))
        if row is None:
            return None
        return Entry(
            _posting(row),
            Dimensions(row["product"], row["feature_kind"], row["feature"], row["agent_id"], row["surface"]),
            row["corrected"],
            row["quantity"],
            row["unit"],
            RateUsed(row["rate_credits"], row["per"], row["effective_from"], row["rate_received_at"], row["is_own"])
            if row["rate_credits"] is not None
            else None,
            row["waits_for"],
            LedgerKey(row["corrects_bucket"], row["corrects"].bytes) if row["corrects"] else None,
        )

    async def select_corrections(self, key: LedgerKey) -> list[Posting]:
        """Corrections of an event that count, in the order of their time."""
        rows = await self._connection.fetch(SQL["select_corrections"], self._id, key.ledger_bucket, UUID(key.identity))
        return [_posting(row) for row in rows]

    async def select_rejections(self, identity: bytes) -> list[Rejected]:
        """Each time at which an event was rejected, the oldest first."""
        rows = await self._connection.fetch(SQL["select_rejections"], UUID(identity))
        return [Rejected(*row) for row in rows]

    async def select_hours(self, topic: str, since_at: datetime) -> list[Hour]:
        """Of each partition, the oldest first; hours in which it took nothing are left out."""
        return [Hour(*row) for row in await self._connection.fetch(SQL["select_hours"], topic, since_at)]

    async def select_zone_rules(self, time_zone: str) -> CountedZone:
        """By which rules of its zone the organization's days were counted."""
        row = await self._connection.fetchrow(SQL["select_zone_rules"], self._id, time_zone)
        return CountedZone(*row) if row else CountedZone(None, None)


def _posting(row: Record) -> Posting:
    return Posting(
        row["credits"],
        row["occurred_at"],
        row["received_at"],
        row["kafka_partition"],
        row["kafka_offset"],
        row["held"],
        row["reason"],
    )
