"""Statements about single events. Credits are micro-credits."""

import json
from collections.abc import Mapping, Sequence

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.ledger.domain import Dimensions, Entry, LedgerKey, Posting, RateUsed, Rejected, UnitUsed, read_units


async def select_receipt(session: ReadSession, key: LedgerKey) -> Entry | None:
    """A counted or held event of the organization; None if there is none."""
    row = await session.connection.fetchrow(
        SQL["select_receipt"], session.organization_id, key.ledger_bucket, UUID(key.identity)
    )
    if row is None:
        return None
    rate = RateUsed(
        credits=row["rate_credits"],
        per=row["per"],
        effective_from=row["effective_from"],
        received_at=row["rate_received_at"],
        is_own=row["is_own"],
    )
    return Entry(
        posting=read_posting(row),
        dimensions=Dimensions(row["product"], row["feature_kind"], row["feature"], row["agent_id"], row["surface"]),
        corrected=row["corrected"],
        quantity=row["quantity"],
        unit=row["unit"],
        rate=rate if row["rate_credits"] is not None else None,
        waits_for=row["waits_for"],
        corrects=LedgerKey(row["corrects_bucket"], row["corrects"].bytes) if row["corrects"] else None,
        attribution_id=row["attribution_id"],
        run=row["run"].bytes if row["run"] else None,
        run_id=row["run_id"],
        parent_id=row["parent_id"],
        units=await _select_units(session, json.loads(row["quantities"] or "{}")),
    )


async def _select_units(session: ReadSession, quantities: Mapping[str, Sequence[int | None]]) -> list[UnitUsed]:
    """The units of an event with several quantities, with their rates."""
    if not quantities:
        return []
    numbers = [number for _, number in quantities.values() if number is not None]
    rows = await session.connection.fetch(SQL["select_rates_used"], session.organization_id, numbers)
    rates = {
        row["rate_id"]: RateUsed(
            credits=row["credits"],
            per=row["per"],
            effective_from=row["effective_from"],
            received_at=row["received_at"],
            is_own=row["is_own"],
            part_of=row["part_of"],
        )
        for row in rows
    }
    return read_units(quantities, rates)


async def select_corrections(session: ReadSession, key: LedgerKey) -> list[Posting]:
    """Counted corrections of an event, ordered by time."""
    rows = await session.connection.fetch(
        SQL["select_corrections"], session.organization_id, key.ledger_bucket, UUID(key.identity)
    )
    return [read_posting(row) for row in rows]


async def select_rejections(session: ReadSession, identity: bytes) -> list[Rejected]:
    """Rejections of an event, oldest first."""
    return from_records(Rejected, await session.connection.fetch(SQL["select_rejections"], UUID(identity)))


def read_posting(row: asyncpg.Record) -> Posting:
    return Posting(
        credits=row["credits"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        partition=row["kafka_partition"],
        offset=row["kafka_offset"],
        held=row["held"],
        reason=row["reason"],
    )
