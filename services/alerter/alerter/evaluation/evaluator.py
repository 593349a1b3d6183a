"""Updates firings, banners and mails to match levels. Each organization is decided under its lock; the check before it
takes no lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import structlog
from flexcredits_schemas.alerts import Resolution, Rule
from runtime.isolation import concerns_one, slow_for_all
from runtime.observability.tracing import TRACEPARENT, Span, Tracing
from runtime.postgres.errors import transient_error_code
from runtime.postgres.pool import Connection, Pool

from alerter.db.channel_queries import insert_alert_event
from alerter.db.email_queries import Recipient, insert_emails, select_recipients
from alerter.db.quarantine_queries import Step
from alerter.db.queries import (
    adopt_firings,
    free_episode,
    insert_firing,
    limit_statements,
    list_crowded,
    list_organizations,
    lock_organization,
    mark_evaluated,
    name_organization,
    read_states,
    resolve_firing,
    set_banner,
)
from alerter.domain.firings import Firing, Organization
from alerter.domain.organization_state import Decision, OrganizationState, decide
from alerter.domain.projected import PassedOn
from alerter.domain.thresholds import NewFiring, Period, UsageLevel
from alerter.email.context import gather_context
from alerter.email.message import identify_mail
from alerter.evaluation.due import TOGETHER_MAX, beside, is_due, is_outdated
from alerter.evaluation.state_reading import EVALUATION_S, read_readable
from alerter.metrics import EVALUATED_AT, EVALUATION_SECONDS, FIRINGS, RESOLVED, WAKEUPS
from alerter.notify.cloudevents import write_fired, write_resolved
from alerter.queues.quarantine import Quarantine

log = structlog.get_logger()

STATEMENT_S = 8.0
"""Time limit of a statement in an evaluation; EVALUATION_S has time for two or three that reach it."""
CHANGES_MAX = 100
"""Firings and resolutions of an organization in one transaction, about half a second: it may have thousands of contracts."""
MAILS_MAX = 2_000
"""Mails of an organization in one transaction: a firing may have 1,000 recipients."""
LEFT_S = 0.3
"""Seconds of a run after which no further organization of `left` is evaluated."""
LONG_TURN_S, REST = 1.0, 4
"""An organization whose turn was longer has its next one after REST times as long, so that it takes a fifth of a connection."""
LIVELY = timedelta(days=5)
"""Periods that ended longer ago can neither send mail nor raise a banner, in any time zone. Only the rollover reads them."""


class Evaluator:
    """Makes firings, banners and mails agree with the levels in Postgres. Any number of evaluators may run at once."""

    def __init__(
        self, pool: Pool, *, billing_moderator_enabled: bool, mail_domain: str, now: Callable[[], datetime],
        tracing: Tracing | None = None, changes_max: int = CHANGES_MAX,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._billing_moderator_enabled = billing_moderator_enabled
        self._mail_domain = mail_domain
        self._now = now
        self._changes_max = changes_max
        self.quarantine = Quarantine(pool)
        self.unprojected: dict[int, None] = {}
        """Organizations whose periods must be projected, in the order in which evaluations found them."""
        self.left: dict[int, bool] = {}
        """Organizations that need more changes than an evaluation made or have more rows than TOGETHER_MAX, in the order of their
        turns, with its `history`. What a process that ends leaves is found by the next sweep, and of periods that ended long ago
        by the next rollover."""
        self._rests: dict[int, float] = {}
        """Organizations whose turn was long, and until when they rest (monotonic seconds)."""
        self.tracing = tracing or Tracing()

    async def evaluate(self, organization_ids: Sequence[int] | None, *, trigger: str, history: bool = False) -> int:
        """Evaluate the organizations (None: all) and write the changes; returns the number of organizations that needed some.

        `history` includes periods that ended long ago. The method is idempotent. A passing failure at one organization
        does not delay the others; it is raised after them. A failure that one organization's data causes quarantines
        that organization: until it succeeds, only its own wake-up or its retry evaluates it. A statement timeout also
        quarantines it, unless statements time out for all organizations. Raises TimeoutError when organizations are
        left to the next evaluation. An organization with more than CHANGES_MAX changes gets its others by evaluate_left(), and
        one with more than TOGETHER_MAX rows all of them.
        """
        began, now = time.monotonic(), self._now()
        step: Step = "wakeup" if history else "evaluate"
        held = await self.quarantine.read()
        insist = trigger in ("wakeup", "retry", "left")
        if held[step] and not insist:
            every = await list_organizations(self._pool) if organization_ids is None else organization_ids
            organization_ids = [number for number in every if number not in held[step]]
        if trigger != "left":
            organization_ids = await self._without_crowded(organization_ids, now, history)
        states, failures, passing = await read_readable(self._pool, organization_ids, *horizon(now, history))
        due = [state.organization_id for state in states if await beside(state, is_due, now, failures)]
        unreadable: dict[int, Exception] = {}
        self.unprojected |= dict.fromkeys(
            [
                state.organization_id
                for state in states
                if state.organization_id not in failures.keys() | held["project"]
                and await beside(state, is_outdated, now, unreadable)
            ]
        )
        # Those that had a portion of their changes, and quarantined ones, come last, so that they do not delay the others.
        due.sort(key=lambda organization_id: (organization_id in held[step], organization_id in self.left))
        failed: dict[int, Exception] = {}
        ends, tried = time.monotonic() + EVALUATION_S, 0
        for tried, organization_id in enumerate(due, 1):
            try:
                await self.evaluate_one(organization_id, history=history)
            except Exception as error:
                if transient_error_code(error) is not None:
                    passing = error
                elif concerns_one(error):
                    failed[organization_id] = error
                else:
                    raise
            if time.monotonic() > ends and tried < len(due):
                passing = TimeoutError(f"{len(due) - tried} organizations are left to the next evaluation")
                break
        if slow := slow_for_all(failed.values(), tried):
            passing = slow
        else:
            failures |= failed
        await self.quarantine.add(step, failures)
        await self.quarantine.add("project", unreadable)
        if passing:
            raise passing
        await self._release(organization_ids, held, failures, history)
        WAKEUPS.labels(trigger).inc(len(states))
        EVALUATION_SECONDS.labels(trigger).observe(time.monotonic() - began)
        EVALUATED_AT.labels(trigger).set_to_current_time()
        return len(due)

    async def evaluate_left(self) -> None:
        """Make the next changes of the organizations in `left`, in turns. One stays in it after a failure, which is raised."""
        ends = time.monotonic() + LEFT_S
        self._rests = {number: until for number, until in self._rests.items() if until > time.monotonic()}
        while time.monotonic() < ends:
            organization_id = next((number for number in self.left if number not in self._rests), None)
            if organization_id is None:
                return
            history, began = self.left.pop(organization_id), time.monotonic()
            try:
                await self.evaluate([organization_id], trigger="left", history=history)
            except Exception:
                self.left[organization_id] = history or self.left.get(organization_id, False)
                raise
            finally:
                took_s = time.monotonic() - began
                if took_s > LONG_TURN_S:
                    self._rests[organization_id] = began + (1 + REST) * took_s

    async def _without_crowded(
        self, organization_ids: Sequence[int] | None, now: datetime, history: bool
    ) -> Sequence[int] | None:
        """These organizations, without those that have more rows than TOGETHER_MAX: they get a turn in `left`."""
        crowded = await list_crowded(self._pool, organization_ids, *horizon(now, history), TOGETHER_MAX)
        if not crowded:
            return organization_ids
        self.left |= {number: history or self.left.get(number, False) for number in sorted(crowded)}
        every = await list_organizations(self._pool) if organization_ids is None else organization_ids
        return [number for number in every if number not in crowded]

    async def _release(
        self,
        organization_ids: Sequence[int] | None,
        held: Mapping[Step, set[int]],
        failures: Mapping[int, Exception],
        history: bool,
    ) -> None:
        """Release the quarantined organizations that succeeded. An evaluation with history includes the one without."""
        steps: tuple[Step, ...] = ("evaluate", "wakeup") if history else ("evaluate",)
        healed = set[int]().union(*(held.get(step, set()) for step in steps)) - failures.keys()
        if organization_ids is not None:
            healed &= set(organization_ids)
        if healed:
            await self.quarantine.release(healed, steps)

    async def evaluate_one(self, organization_id: int, *, history: bool = False) -> None:
        """Decide and write in one transaction. It reads the levels after it has the lock, so they are never older than
        those that another evaluation used."""
        with self.tracing.span("evaluate organization", "internal", organization_id=organization_id) as span:
            async with self._pool.acquire() as connection, connection.transaction():
                await limit_statements(connection, STATEMENT_S)
                await self.evaluate_within(connection, organization_id, span, history=history)

    async def evaluate_within(
        self, connection: Connection, organization_id: int, span: Span, *, history: bool = False
    ) -> None:
        """As evaluate_one, in the caller's transaction."""
        now = self._now()
        await lock_organization(connection, organization_id, now)
        await adopt_firings(connection, organization_id)
        for state in await read_states(connection, [organization_id], *horizon(now, history)):
            decision = await beside(state, decide, now, self._changes_max)
            recipients = {
                rule: await select_recipients(
                    connection, organization_id, rule, billing_moderators=self._billing_moderator_enabled
                )
                for rule in dict.fromkeys(decision.mailed)
            }
            mails = sum(len(recipients[rule]) for rule in decision.mailed)
            if mails > MAILS_MAX:
                decision = await beside(state, decide, now, max(1, decision.size * MAILS_MAX // mails))
            await self._apply(connection, state, decision, recipients, now, span)
            if decision.is_partial:
                self.left[organization_id] = history or self.left.get(organization_id, False)

    async def _apply(
        self, connection: Connection, state: OrganizationState, decision: Decision,
        recipients: Mapping[Rule, Sequence[Recipient]], now: datetime, span: Span,
    ) -> None:  # fmt: skip
        if not decision:
            return
        organization = await name_organization(connection, state.organization_id)
        banner = decision.banner
        for period, verdict in decision.verdicts.items():
            level = decision.levels.get(period)
            for threshold, resolution in verdict.resolve:
                await self._resolve(
                    connection, organization, state.organization_id, period, threshold, resolution, level, now
                )
                RESOLVED.labels(period.rule, period.kind, resolution).inc()
            for firing in verdict.fire:
                assert level is not None
                passed_on = verdict.passed_on.get(firing.threshold)
                to = recipients[period.rule] if firing.notification == "sent" else ()
                episode = await self._fire(connection, organization, level, firing, passed_on, to, now, span)
                if banner and (banner.period, banner.threshold) == (period, firing.threshold):
                    banner = banner._replace(episode=episode)
        if banner != state.banner:
            await set_banner(connection, state.organization_id, banner)
        await mark_evaluated(connection, state.organization_id, now)

    async def _resolve(
        self, connection: Connection, organization: Organization, organization_id: int, period: Period, threshold: int,
        resolution: Resolution, level: UsageLevel | None, now: datetime,
    ) -> None:  # fmt: skip
        firing_id, firing = await resolve_firing(connection, organization_id, period, threshold, resolution, now)
        number = await free_episode(connection, "resolved", organization.organization, firing)
        event = write_resolved(organization, firing, level, now, resolution, number)
        await insert_alert_event(connection, organization_id, firing_id, "resolved", event, now, firing.notification)
        log.info(
            "alert resolved", organization=organization.organization, rule=period.rule, kind=period.kind,
            contract=period.contract_id or None, period=period.period_id, threshold=threshold, resolution=resolution,
        )  # fmt: skip

    async def _fire(
        self,
        connection: Connection,
        organization: Organization,
        level: UsageLevel,
        firing: NewFiring,
        passed_on: PassedOn | None,
        recipients: Sequence[Recipient],
        now: datetime,
        span: Span,
    ) -> int:
        """Returns the firing's episode."""
        fired = Firing(level.period, level.starts_on, level.ends_on, *firing, now, passed_on)
        episode = await free_episode(connection, "fired", organization.organization, fired)
        firing, fired = firing._replace(episode=episode), fired._replace(episode=episode)
        context = None
        if firing.notification == "sent":
            context = await gather_context(connection, organization, level, now) | {"threshold": firing.threshold}
            if passed_on:
                context["passed_on"] = passed_on.as_texts()
            if span.traceparent:
                context[TRACEPARENT] = span.traceparent  # any alerter may send the mails later
        firing_id = await insert_firing(connection, level, firing, now, context, passed_on)
        event = write_fired(organization, fired, level)
        await insert_alert_event(connection, level.organization_id, firing_id, "fired", event, now, firing.notification)
        if context is not None:
            about = organization.organization, *level.period.identity, str(firing.threshold), str(firing.episode)
            messages = [(identify_mail("alert", *about, to.address, domain=self._mail_domain), to) for to in recipients]
            await insert_emails(connection, level.organization_id, firing_id, messages, now)
        FIRINGS.labels(level.period.rule, level.period.kind, firing.notification).inc()
        log.info(
            "alert fired", organization=organization.organization, rule=level.period.rule, kind=level.period.kind,
            contract=level.period.contract_id or None, period=level.period.period_id, threshold=firing.threshold,
            episode=firing.episode, notification=firing.notification, recipients=len(recipients),
        )  # fmt: skip
        return episode


def horizon(now: datetime, history: bool) -> tuple[date, date]:
    """The latest day on which a period may have begun, in any zone, and the day after which the period must end."""
    today = now.astimezone(UTC).date()
    return today + timedelta(days=1), date.min if history else today - LIVELY
