"""GET /api/v1/banner and /api/v1/alerts: what the alerter announces now, and what it has announced to whom."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from query_api.answers import Alert, Alerts, Banner, Delivery, ProductCredits
from query_api.api import answer_period, invalid_parameter, stand
from query_api.firings import Firing, InvalidCursor, SentTo, read_cursor, write_cursor
from query_api.overview import percent
from query_api.periods import Span, today_in
from query_api.policies import Look, Parts, parts_of
from query_api.store import Reading

router = APIRouter(prefix="/api/v1")


@router.get("/banner")
async def get_banner(request: Request, reading: Look) -> Banner:
    """What to tell whoever opens the dashboard now: the highest threshold met, and products beyond their own amount."""
    return await answer_banner(parts_of(request), reading)


async def answer_banner(parts: Parts, reading: Reading) -> Banner:
    period, standing, _ = await stand(reading, today_in(reading.organization.time_zone, parts.now()))
    banner = await reading.select_banner()
    # The alerter takes down a banner soon after its period; ours is the clock that the page goes by.
    if banner and (period is None or (banner.contract_id, banner.period_id) != period[:2]):
        banner = None
    return Banner(
        active=banner is not None,
        threshold=banner.threshold if banner else None,
        percent_used=standing.percent_used,
        fired_at=banner.fired_at if banner else None,
        products_over=[ProductCredits.model_validate(product) for product in standing.products if product.overage],
        credit_period=answer_period(period.credit_period_id, period.span) if period else None,
    )


class AlertsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    before: str | None = Field(None, description="`next` of a previous answer: go on where that one ended.")


@router.get("/alerts")
async def get_alerts(reading: Look, query: Annotated[AlertsQuery, Query()]) -> Alerts:
    """The history of alerts, newest first, with what became of their mails."""
    try:
        before = None if query.before is None else read_cursor(query.before)
    except InvalidCursor:
        raise invalid_parameter("before", "must be `next` of a previous answer") from None
    firings = await reading.select_firings(before, query.limit + 1)  # one more says whether there is a next page
    page = firings[: query.limit]
    deliveries = await reading.select_deliveries([firing.firing_id for firing in page])
    return Alerts(
        alerts=[answer_alert(firing, deliveries.get(firing.firing_id, [])) for firing in page],
        next=write_cursor(page[-1].firing_id) if len(firings) > len(page) else None,
    )


def answer_alert(firing: Firing, deliveries: list[SentTo]) -> Alert:
    return Alert(
        id=str(firing.firing_id),
        rule=firing.rule,
        threshold=firing.threshold,
        episode=firing.episode,
        period=answer_period(firing.period_id, Span(firing.starts_on, firing.ends_on)),
        state="resolved" if firing.resolved_at else "met",
        fired_at=firing.fired_at,
        resolved_at=firing.resolved_at,
        resolution=firing.resolution,
        told=firing.told,
        used=firing.used,
        available=firing.available,
        percent_used=percent(firing.used, firing.available),
        deliveries=[Delivery.model_validate(delivery) for delivery in deliveries],
        nobody_to_tell=firing.told == "mail" and not deliveries,
    )
