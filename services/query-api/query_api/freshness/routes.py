"""GET /api/v1/freshness: how current the totals are."""

from typing import Literal

from fastapi import APIRouter, Request

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.freshness.queries import count_held, select_quarantine, select_watermark
from query_api.freshness.schemas import Freshness, QuarantineEntry

router = APIRouter(prefix="/api/v1")

DELAYED_AFTER_S = 60


@router.get("/freshness")
async def get_freshness(request: Request, session: UsageAccess) -> Freshness:
    """How current the totals are, and how many events are held."""
    app = app_state(request)
    watermark = await select_watermark(session, app.topic)
    lag_s = None
    if watermark.complete_to is not None:
        lag_s = max(0.0, (app.now() - watermark.complete_to).total_seconds())
    state: Literal["current", "delayed", "no_data"] = "current"
    if watermark.partitions == 0:
        state = "no_data"
    elif lag_s is None or lag_s > DELAYED_AFTER_S:
        state = "delayed"
    return Freshness(
        updated_at=watermark.updated_at,
        complete_to=watermark.complete_to,
        lag_seconds=lag_s,
        held=await count_held(session, app.topic),
        quarantine=[QuarantineEntry.model_validate(at) for at in await select_quarantine(session)],
        state=state,
    )
