"""GET /api/v1/banner and /api/v1/alerts: the current banner, and the history of alerts with their mails."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.credit_periods import credit_period_key

from query_api.access.dependencies import CurrentUser, ReadAccess, WriteAccess
from query_api.access.state import app_state
from query_api.alerts.banner import compute_banner, select_current_banner, show_to
from query_api.alerts.domain.firings import Firing, StoredMail
from query_api.alerts.find import AlertId, find_firing
from query_api.alerts.queries import insert_dismissal, select_deliveries, select_firings, select_mail_attempts
from query_api.alerts.schemas import (
    Alert,
    AlertPeriod,
    Alerts,
    AlertWithAttempts,
    Banner,
    Delivery,
    DeliveryAttempt,
    DeliveryWithAttempts,
    DismissalRequest,
    ProjectedPass,
)
from query_api.calendar import today_in
from query_api.contracts.domain.balance import percent
from query_api.contracts.domain.periods import period_on
from query_api.contracts.queries import select_credit_periods
from query_api.http.pagination import HistoryQuery, cut_history
from query_api.http.problems import ApiProblem, problems

router = APIRouter(prefix="/api/v1")


@router.get("/banner")
async def get_banner(request: Request, principal: CurrentUser, session: ReadAccess) -> Banner:
    """The current banner: the highest threshold met, and products above their contracted amount."""
    banner, dismissed_by = await compute_banner(app_state(request), session)
    return show_to(principal.subject, banner, dismissed_by)


@router.post("/banner/dismiss", status_code=204, responses=problems(409))
async def dismiss_banner(
    request: Request, principal: CurrentUser, session: WriteAccess, asked: DismissalRequest
) -> None:
    """Hide the banner from yourself until another threshold is met, or this one again. Safe to repeat."""
    today = today_in(session.organization.time_zone, app_state(request).now())
    banner = await select_current_banner(session, period_on(await select_credit_periods(session), today))
    if banner is None or banner.firing_id is None or asked.id != str(banner.firing_id):
        raise ApiProblem("another-banner", "This banner is no longer shown.")
    await insert_dismissal(session, principal.subject, banner.firing_id)


@router.get("/alerts")
async def get_alerts(session: ReadAccess, query: Annotated[HistoryQuery, Query()]) -> Alerts:
    """The history of alerts, newest first, with the state of their mails."""
    firings = await select_firings(session, query.read_before(), query.limit + 1)
    page, following = cut_history(firings, query.limit, lambda firing: firing.firing_id)
    deliveries = await select_deliveries(session, [firing.firing_id for firing in page])
    return Alerts(
        alerts=[answer_alert(firing, deliveries.get(firing.firing_id, [])) for firing in page], next=following
    )


@router.get("/alerts/{id}")
async def get_alert(session: ReadAccess, alert_id: AlertId) -> AlertWithAttempts:
    """One alert, with all attempts at its mails."""
    firing = await find_firing(session, alert_id)
    mails = (await select_deliveries(session, [firing.firing_id])).get(firing.firing_id, [])
    tries = await select_mail_attempts(session, firing.firing_id)
    deliveries = [
        DeliveryWithAttempts(
            **Delivery.model_validate(mail).model_dump(),
            attempt_log=[DeliveryAttempt.model_validate(tried) for tried in tries.get(mail.email_id, [])],
        )
        for mail in mails
    ]
    return AlertWithAttempts(**describe_firing(firing, mails), deliveries=deliveries)


def answer_alert(firing: Firing, mails: list[StoredMail]) -> Alert:
    return Alert(**describe_firing(firing, mails), deliveries=[Delivery.model_validate(mail) for mail in mails])


def answer_period(firing: Firing) -> AlertPeriod:
    contract_id = firing.contract_id or None  # a month has no contract
    return AlertPeriod(
        id=firing.period_id,
        contract_id=contract_id,
        key=credit_period_key(contract_id, firing.period_id) if contract_id else None,
        from_=firing.starts_on,
        to=firing.ends_on,
    )


def describe_firing(firing: Firing, mails: list[StoredMail]) -> dict[str, Any]:
    """Fields that Alert and AlertWithAttempts share."""
    return {
        "id": str(firing.firing_id),
        "rule": firing.rule,
        "kind": firing.kind,
        "passed_on": ProjectedPass.model_validate(firing) if firing.kind == "projected" else None,
        "threshold": firing.threshold,
        "episode": firing.episode,
        "period": answer_period(firing),
        "state": "resolved" if firing.resolved_at else "met",
        "fired_at": firing.fired_at,
        "resolved_at": firing.resolved_at,
        "resolution": firing.resolution,
        "notification": firing.notification,
        "used": firing.used,
        "available": firing.available,
        "percent_used": percent(firing.used, firing.available),
        "no_recipients": firing.notification == "sent" and not mails,
    }
