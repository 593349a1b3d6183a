"""GET /api/v1/banner and /api/v1/alerts: what the alerter announces now, and what it has announced to whom."""

from collections.abc import Collection
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from flexcredits_schemas.credit_periods import credit_period_key

from query_api.access.dependencies import Change, Known, Look, Parts, parts_of
from query_api.alerts.domain.firings import Firing, RaisedBanner, SentTo
from query_api.alerts.schemas import Alert, AlertInDetail, Alerts, Banner, Delivery, FiredPeriod, TriedDelivery, Try
from query_api.alerts.settings.schemas import AskedDismissal
from query_api.contracts.domain.balance import percent
from query_api.contracts.domain.periods import CreditPeriod, period_on, today_in
from query_api.contracts.range import HistoryQuery, answer_credit_period, stand
from query_api.db.session import Reading
from query_api.http.fields import ProductCredits, Refused, problems
from query_api.usage.breakdown.domain.cursor import cut_history

router = APIRouter(prefix="/api/v1")

AlertId = Annotated[str, Path(alias="id", pattern=r"^[1-9][0-9]{0,18}$", description="Of an alert.", examples=["7"])]
BIGGEST_ID = 2**63 - 1


@router.get("/banner")
async def get_banner(request: Request, person: Known, reading: Look) -> Banner:
    """What to tell whoever opens the dashboard now: the highest threshold met, and products beyond their own amount."""
    banner, dismissed_by = await answer_banner(parts_of(request), reading)
    return show_to(person.subject, banner, dismissed_by)


async def answer_banner(parts: Parts, reading: Reading) -> tuple[Banner, set[str]]:
    """The banner as everybody sees it who has not dismissed it, and the subjects of those who have."""
    period, standing, _ = await stand(reading, today_in(reading.organization.time_zone, parts.now()))
    banner = await select_current_banner(reading, period)
    dismissed_by = await reading.select_dismissals(banner.firing_id) if banner and banner.firing_id else set()
    return Banner(
        id=str(banner.firing_id) if banner and banner.firing_id else None,
        active=banner is not None,
        dismissed=False,
        threshold=banner.threshold if banner else None,
        percent_used=standing.percent_used,
        fired_at=banner.fired_at if banner else None,
        products_over=[ProductCredits.model_validate(product) for product in standing.products if product.overage],
        credit_period=answer_credit_period(period) if period else None,
    ), dismissed_by


def show_to(subject: str, banner: Banner, dismissed_by: Collection[str]) -> Banner:
    return banner.model_copy(update={"dismissed": subject in dismissed_by})


async def select_current_banner(reading: Reading, period: CreditPeriod | None) -> RaisedBanner | None:
    """The alerter takes down a banner soon after its period; ours is the clock that the page goes by."""
    banner = await reading.select_banner()
    return banner if banner and period and (banner.contract_id, banner.period_id) == period.key else None


@router.post("/banner/dismiss", status_code=204, responses=problems(409))
async def dismiss_banner(request: Request, person: Known, writing: Change, asked: AskedDismissal) -> None:
    """Hide the banner from yourself, until another threshold is met, or this one again. Harmless when it is hidden."""
    reading = writing.reading
    today = today_in(writing.organization.time_zone, parts_of(request).now())
    banner = await select_current_banner(reading, period_on(await reading.select_credit_periods(), today))
    if banner is None or banner.firing_id is None or asked.id != str(banner.firing_id):
        raise Refused("another-banner", "This banner is no longer shown.")
    await writing.insert_dismissal(person.subject, banner.firing_id)


@router.get("/alerts")
async def get_alerts(reading: Look, query: Annotated[HistoryQuery, Query()]) -> Alerts:
    """The history of alerts, newest first, with what became of their mails."""
    firings = await reading.select_firings(query.read_before(), query.limit + 1)
    page, following = cut_history(firings, query.limit, lambda firing: firing.firing_id)
    deliveries = await reading.select_deliveries([firing.firing_id for firing in page])
    return Alerts(
        alerts=[answer_alert(firing, deliveries.get(firing.firing_id, [])) for firing in page], next=following
    )


@router.get("/alerts/{id}")
async def get_alert(reading: Look, alert_id: AlertId) -> AlertInDetail:
    """One alert, with every attempt at its mails."""
    firing = await find_firing(reading, alert_id)
    mails = (await reading.select_deliveries([firing.firing_id])).get(firing.firing_id, [])
    tries = await reading.select_tries(firing.firing_id)
    deliveries = [
        TriedDelivery(
            **Delivery.model_validate(mail).model_dump(),
            tries=[Try.model_validate(tried) for tried in tries.get(mail.email_id, [])],
        )
        for mail in mails
    ]
    return AlertInDetail(**describe_firing(firing, mails), deliveries=deliveries)


async def find_firing(reading: Reading, alert_id: str) -> Firing:
    """Raises Refused when the organization has no such alert."""
    firing = await reading.select_firing(int(alert_id)) if int(alert_id) <= BIGGEST_ID else None
    if firing is None:
        raise Refused("no-such-alert", "Your organization has no alert with this id.")
    return firing


def answer_alert(firing: Firing, mails: list[SentTo]) -> Alert:
    return Alert(**describe_firing(firing, mails), deliveries=[Delivery.model_validate(mail) for mail in mails])


def answer_period(firing: Firing) -> FiredPeriod:
    contract_id = firing.contract_id or None  # a month has none
    return FiredPeriod(
        id=firing.period_id,
        contract_id=contract_id,
        key=credit_period_key(contract_id, firing.period_id) if contract_id else None,
        from_=firing.starts_on,
        to=firing.ends_on,
    )


def describe_firing(firing: Firing, mails: list[SentTo]) -> dict[str, Any]:
    """What Alert and AlertInDetail have in common."""
    return {
        "id": str(firing.firing_id),
        "rule": firing.rule,
        "threshold": firing.threshold,
        "episode": firing.episode,
        "period": answer_period(firing),
        "state": "resolved" if firing.resolved_at else "met",
        "fired_at": firing.fired_at,
        "resolved_at": firing.resolved_at,
        "resolution": firing.resolution,
        "told": firing.told,
        "used": firing.used,
        "available": firing.available,
        "percent_used": percent(firing.used, firing.available),
        "nobody_to_tell": firing.told == "mail" and not mails,
    }
