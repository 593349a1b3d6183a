"""Statements about the usage of one person. Credits are micro-credits."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.events import FeatureKind, Product

from query_api.attributions.limit import check_number
from query_api.calendar import Days
from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class OwnAttribution(NamedTuple):
    attribution_id: int
    actor_id: str


class OwnUsage(NamedTuple):
    """Usage of a day. Empty text: no agent."""

    day: date
    product: Product
    feature_kind: FeatureKind
    feature: str
    agent_id: str
    credits: int
    events: int


class BegunRun(NamedTuple):
    """A run whose first use is the person's. `events` are those of all people."""

    run: UUID
    run_id: str
    agent_id: str
    events: int


class OwnUses(NamedTuple):
    """The person's own uses of a run."""

    run: UUID
    first_at: datetime
    last_at: datetime
    credits: int
    events: int


async def select_own_attributions(session: ReadSession, subject: str, email: str | None) -> list[OwnAttribution]:
    """Attributions whose actor has this id, or this address as its id or in the directory.

    Raises ApiProblem if there are too many.
    """
    rows = await session.connection.fetch(SQL["select_own_attributions"], session.organization_id, subject, email)
    await check_number(session, len(rows))
    return from_records(OwnAttribution, rows)


async def sum_own_usage(session: ReadSession, days: Days, attributions: Sequence[int]) -> list[OwnUsage]:
    await session.connection.execute(SQL["plan_for_values"])
    every_day = [days.first + timedelta(days=after) for after in range((days.last - days.first).days + 1)]
    rows = await session.connection.fetch(SQL["sum_own_usage"], session.organization_id, every_day, attributions)
    return from_records(OwnUsage, rows)


async def select_own_runs(
    session: ReadSession, from_at: datetime, until_at: datetime, attributions: Sequence[int], limit: int
) -> list[BegunRun]:
    """Latest first."""
    rows = await session.connection.fetch(
        SQL["select_own_runs"], session.organization_id, from_at, until_at, attributions, limit
    )
    return from_records(BegunRun, rows)


async def sum_own_uses(session: ReadSession, runs: Sequence[UUID], attributions: Sequence[int]) -> dict[UUID, OwnUses]:
    """By run."""
    rows = await session.connection.fetch(SQL["sum_own_uses"], session.organization_id, runs, attributions)
    return {each.run: each for each in from_records(OwnUses, rows)}
