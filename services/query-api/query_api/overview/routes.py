"""GET /api/v1/overview."""

from fastapi import APIRouter, Request

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.overview.overview import compute_overview
from query_api.overview.schemas import Overview

router = APIRouter(prefix="/api/v1")


@router.get("/overview")
async def get_overview(request: Request, session: UsageAccess) -> Overview:
    """Credits used and available in the current credit period, in total and by product."""
    return await compute_overview(app_state(request), session)
