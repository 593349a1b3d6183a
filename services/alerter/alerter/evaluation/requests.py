"""Requests by admins: a test mail to themselves, a test message to a channel, or a firing's failed mails again."""

from collections import deque
from collections.abc import Callable
from datetime import datetime

import structlog
from flexcredits_schemas.alerts import Rule
from runtime.isolation import concerns_one
from runtime.postgres.errors import timed_out
from runtime.postgres.pool import Connection, Pool

from alerter.db.channel_queries import insert_test_alert_event
from alerter.db.email_queries import Request, claim_request, insert_test_email, resend_emails, select_requesting
from alerter.db.queries import limit_statements, name_organization, read_states
from alerter.domain.firings import Organization
from alerter.domain.thresholds import UsageLevel, has_begun, period_state
from alerter.email.context import gather_test_context
from alerter.email.message import identify_mail
from alerter.evaluation.evaluator import horizon
from alerter.metrics import REQUESTS
from alerter.notify.cloudevents import write_test as write_test_event
from alerter.queues.quarantine import Quarantine
from alerter.queues.rotation import Rotation

log = structlog.get_logger()

AT_ONCE = 100
STATEMENT_S = 2.0
"""Time limit of a statement. Requests are answered one after the other, so those of other organizations wait."""


async def answer_requests(pool: Pool, mail_domain: str, now: Callable[[], datetime], rotation: Rotation) -> None:
    """Write the requested mails and messages to the outbox, each request once: its row is deleted in the same
    transaction. Organizations take turns.

    A request that fails keeps its row, and its organization is quarantined for this step. Other requests are processed.
    """
    failures: dict[int, Exception] = {}
    failed: list[int] = []
    waiting = deque(await select_requesting(pool, rotation.after))
    for _ in range(AT_ONCE):
        if not waiting:
            break
        rotation.after = waiting.popleft()
        request: Request | None = None
        try:
            async with pool.acquire() as connection, connection.transaction():
                await limit_statements(connection, STATEMENT_S)
                request = await claim_request(connection, rotation.after, failed)
                if request is None:
                    continue
                await answer_request(connection, request, mail_domain, now())
        except Exception as error:
            if request is None or not concerns_one(error):
                raise
            failures[request.organization_id] = error
            failed.append(request.request_id)
            if timed_out(error):
                break  # the next run processes the others
        waiting.append(rotation.after)
    await Quarantine(pool).add("request", failures)


async def answer_request(connection: Connection, request: Request, mail_domain: str, now: datetime) -> None:
    organization = await name_organization(connection, request.organization_id)
    if request.kind == "resend":
        await resend_emails(connection, request)
    elif request.kind == "channel_test":
        await write_channel_test(connection, request, organization)
    else:
        await write_test(connection, request, organization, mail_domain, now)
    REQUESTS.labels(request.kind).inc()
    log.info("request accepted", kind=request.kind, organization=organization.organization, rule=request.rule)


async def write_test(
    connection: Connection, request: Request, organization: Organization, mail_domain: str, now: datetime
) -> None:
    """Write a mail with the organization's current numbers. Its text says that it is a test."""
    level = await read_current_level(connection, request.organization_id, request.rule, now)
    context = await gather_test_context(connection, organization, request.rule, level, now)
    about = organization.organization, str(request.request_id), f"{request.requested_at}", str(request.recipient)
    await insert_test_email(connection, request, identify_mail("test", *about, domain=mail_domain), context)


async def write_channel_test(connection: Connection, request: Request, organization: Organization) -> None:
    assert request.channel_id is not None
    event = write_test_event(organization, request.request_id, request.requested_at)
    await insert_test_alert_event(connection, request.organization_id, request.channel_id, event, request.requested_at)


async def read_current_level(
    connection: Connection, organization_id: int, rule: Rule, now: datetime
) -> UsageLevel | None:
    """The current level of a rule; None without a current credit period or budget."""
    for state in await read_states(connection, [organization_id], *horizon(now, history=False)):
        for level in state.levels:
            is_of_rule = (level.period.rule, level.period.kind) == (rule, "used")
            if is_of_rule and has_begun(level, now) and period_state(level, now) == "current":
                return level
    return None
