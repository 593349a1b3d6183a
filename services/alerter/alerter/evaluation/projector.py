"""Projects the periods of organizations that evaluations found to be due, beside the evaluations and never in their way.

An organization's data is read in one snapshot, the projection is computed in a thread, and one transaction stores it with
the firings that follow from it. A process that dies before leaves the organization to the next sweep.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import structlog
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.projection.history import complete_until, days_in_a_row, elapsed_part, seed_of, usual_day
from flexcredits_schemas.projection.refusals import compared_since, describe_missing_days, why_not_counted
from runtime.forecast.model import Refusal
from runtime.forecast.project import DAYS_MAX, Outlook, foresee, project_outlook
from runtime.isolation import concerns_one, slow_for_all
from runtime.postgres.errors import timed_out
from runtime.postgres.pool import Connection, Pool

from alerter.db.projection_queries import save_projection, select_counted_to, sum_days, sum_quarters
from alerter.db.queries import limit_statements, lock_organization, name_organization, read_states
from alerter.domain.organization_state import unprojected
from alerter.domain.projected import Mark, PassedOn, StoredProjection
from alerter.domain.thresholds import Period, UsageLevel, marks_of
from alerter.evaluation.due import beside
from alerter.evaluation.evaluator import Evaluator, horizon
from alerter.metrics import PROJECTION_SECONDS, PROJECTIONS, PROJECTIONS_WAITING

log = structlog.get_logger()

WORK_S = 0.3
"""Seconds of a run after which no further organization is begun. A run each second leaves most of a processor to alerts."""
STATEMENT_S = 8.0

Compute = Callable[[Callable[[], Mapping[Period, StoredProjection]]], Awaitable[Mapping[Period, StoredProjection]]]


class History(NamedTuple):
    """What the projections of an organization are made from. `refused`: reason and detail, if it is too incomplete."""

    organization: str
    by_day: Mapping[date, int]
    elapsed: float
    seed: int
    refused: tuple[str, str] | None


class Due(NamedTuple):
    """A period to project: the level of its use, and the thresholds."""

    level: UsageLevel
    thresholds: Sequence[int]


class Projector:
    """Projects due organizations in turn."""

    def __init__(
        self, pool: Pool, evaluator: Evaluator, topic: str, now: Callable[[], datetime], compute: Compute = asyncio.to_thread
    ) -> None:  # fmt: skip
        """`topic` has the usage whose watermark counts. `compute` runs a function without blocking the event loop."""
        self._pool = pool
        self._evaluator = evaluator
        self._topic = topic
        self._now = now
        self._compute = compute
        self._slow: dict[int, Exception] = {}
        """Organizations whose statement timed out since another one's projection succeeded."""

    async def tick(self) -> None:
        """Project organizations until WORK_S is over. One whose data makes it fail is quarantined for this step, and one whose
        statement times out while those of others do not. Raises the error if they time out for several."""
        ends, waiting = time.monotonic() + WORK_S, self._evaluator.unprojected
        PROJECTIONS_WAITING.set(len(waiting))
        held = (await self._evaluator.quarantine.read())["project"] if waiting else set[int]()
        while waiting and time.monotonic() < ends:
            organization_id = next(iter(waiting))
            del waiting[organization_id]
            try:
                await self.project(organization_id)
            except Exception as error:
                if not concerns_one(error):
                    raise
                if not timed_out(error):
                    await self._evaluator.quarantine.add("project", {organization_id: error})
                    continue
                self._slow[organization_id] = error
                if slow_for_all(self._slow.values(), len(self._slow)):
                    waiting |= dict.fromkeys(self._slow)
                    raise
                if not waiting:  # no other one shows whether Postgres is slow: the retry does
                    await self._set_slow_aside()
                return
            else:
                self._slow.pop(organization_id, None)
                await self._set_slow_aside()
                if organization_id in held:
                    await self._evaluator.quarantine.release([organization_id], ["project"])

    async def _set_slow_aside(self) -> None:
        """Quarantine the one organization that timed out while others did not. Several were slow like all others."""
        slow, self._slow = self._slow, {}
        if len(slow) == 1:
            await self._evaluator.quarantine.add("project", slow)

    async def project(self, organization_id: int) -> None:
        """Store the projections that are due, with the firings that follow, in one transaction. Idempotent."""
        now = self._now()
        due, history = await self._prepare(organization_id, now)
        if history is None:
            return
        began = time.monotonic()
        projections = await self._compute(lambda: project_periods(due, history, now))
        PROJECTION_SECONDS.observe(time.monotonic() - began)
        with self._evaluator.tracing.span("project organization", "internal", organization_id=organization_id) as span:
            async with self._pool.acquire() as connection, connection.transaction():
                await limit_statements(connection, STATEMENT_S)
                await lock_organization(connection, organization_id, now)
                if not await self._read_due(connection, organization_id, now):
                    return  # another alerter was faster
                for period, projection in projections.items():
                    await save_projection(connection, organization_id, period, projection)
                await self._evaluator.evaluate_within(connection, organization_id, span)
        for period, projection in projections.items():
            PROJECTIONS.labels(projection.refusal or "projected").inc()
            log.info(
                "projected", organization=history.organization, rule=period.rule, period=period.period_id,
                refusal=projection.refusal,
            )  # fmt: skip

    async def _prepare(self, organization_id: int, now: datetime) -> tuple[list[Due], History | None]:
        """What is due, and what it is made from, in one snapshot. None: nothing is due."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await limit_statements(connection, STATEMENT_S)
            due = await self._read_due(connection, organization_id, now)
            return due, await self._read_history(connection, due[0].level, now) if due else None

    async def _read_due(self, connection: Connection, organization_id: int, now: datetime) -> list[Due]:
        due = []
        for state in await read_states(connection, [organization_id], *horizon(now, history=False)):
            projected = {level.period: level.thresholds for level in state.levels if level.period.kind == "projected"}
            for level in await beside(state, unprojected, now):
                thresholds = projected.get(level.period._replace(kind="projected"), ())
                due.append(Due(level, marks_of(thresholds)))
        return due

    async def _read_history(self, connection: Connection, level: UsageLevel, now: datetime) -> History:
        number, zone = level.organization_id, level.time_zone
        today = local_date(now, zone)
        name = (await name_organization(connection, number)).organization
        counted = await select_counted_to(connection, number, self._topic, compared_since(today))
        at = complete_until(counted.complete_to, zone, today)
        if at is None:
            return History(name, {}, 0.0, 0, ("days_missing", describe_missing_days(counted.complete_to)))
        missing = why_not_counted(
            is_quarantined=counted.is_quarantined, held=counted.held, events={today: counted.counted}, today=today
        )
        if missing:
            return History(name, {}, 0.0, 0, ("usage_not_counted", missing))
        by_day = await sum_days(connection, number, today - timedelta(days=DAYS_MAX), today)
        quarters = await sum_quarters(connection, number, *usual_day(today, zone))
        return History(name, by_day, elapsed_part(at, today, zone, quarters), seed_of(name, None, None, at, zone), None)


def project_periods(due: Sequence[Due], history: History, now: datetime) -> dict[Period, StoredProjection]:
    return {at.level.period: project_period(at, history, now) for at in due}


def project_period(due: Due, history: History, now: datetime) -> StoredProjection:
    """The same history, level and local day always give the same projection."""
    level, today = due.level, local_date(now, due.level.time_zone)
    assert level.available is not None
    refused, marks = history.refused, list[Mark]()
    if level.ends_on == date.max:
        refused = "no_end", "The credit period has no end."
    if refused is None:
        first = today - timedelta(days=DAYS_MAX)
        days = days_in_a_row(history.by_day, first, today)
        outlook = foresee(first, days, until=level.ends_on, elapsed=history.elapsed, seed=history.seed)
        if isinstance(outlook, Refusal):
            refused = outlook.reason, outlook.detail
        else:
            so_far = history.by_day.get(today, 0)
            marks = [mark_of(outlook, so_far, level, threshold) for threshold in due.thresholds]
    reason, detail = refused or (None, None)
    return StoredProjection(today, level.made_for, due.thresholds, marks, reason, detail, now)


def mark_of(outlook: Outlook, so_far: int, level: UsageLevel, threshold: int) -> Mark:
    """When use passes the threshold, as the query API says when credits of that amount run out. `so_far`: used today."""
    assert level.available is not None
    amount = -(-level.available * threshold // 100)
    projected = project_outlook(outlook, so_far, level.used, max(0, amount - level.used))
    assert projected.run_out is not None
    assert projected.probability_not_in_period is not None
    return Mark(threshold, round(1000 * (1 - projected.probability_not_in_period)), PassedOn(*projected.run_out))
