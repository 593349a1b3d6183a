"""GET /api/v1/export/focus.csv, focus.parquet and focus.json."""

import json
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.contracts.range import RangeQuery, choose_days
from query_api.exports.domain.cells import file_name
from query_api.exports.downloads import FileResponse
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.files import FocusFileQuery, plan_focus, plan_focus_csv, read_metadata
from query_api.exports.focus.reading import FocusQuery
from query_api.exports.manifests.recording import with_manifest
from query_api.exports.parts import A_FILE, A_JSON_FILE, A_PARQUET_FILE, audit_export
from query_api.exports.planned import send_planned

router = APIRouter(prefix="/api/v1/export")


@router.get("/focus.csv", response_class=Response, responses=with_manifest(A_FILE))
async def get_focus_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusFileQuery, Query()]
) -> Response:
    """The daily data as FOCUS 1.2 or 1.4, and its other datasets. Credits are prepaid; overage is a Purchase.

    Each day has the prices that were known on it. If a later contract version changes them, the difference is a Correction in
    the month in which that version was received. `SkuId` always contains the exact id of the feature. In 1.4,
    contracted credits and the shortfall of a minimum commitment are Purchases too: lines with an `InvoiceId` add up to it.
    """
    planned = await plan_focus_csv(request, session, principal, query)
    return await send_planned(request, session, principal, query, planned)


@router.get("/focus.parquet", response_class=Response, responses=with_manifest(A_PARQUET_FILE))
async def get_focus_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusQuery, Query()]
) -> Response:
    """The lines of `focus.csv` in version 1.4 with types: amounts are decimals, instants are UTC, texts have no apostrophes."""
    planned = await plan_focus(request, session, principal, query, "parquet")
    return await send_planned(request, session, principal, query, planned)


@router.get("/focus.json", response_class=Response, responses=A_JSON_FILE)
async def get_focus_metadata(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[RangeQuery, Query()]
) -> FileResponse:
    """Metadata of FOCUS 1.4 about the datasets of these days: Dataset Instance, Schema, and Recency from the watermark.

    A day is complete if its end is not after the watermark; usage that arrives late changes it still. Without a watermark,
    Recency is empty. Parquet files have the metadata of their dataset in their key-value metadata, each part as JSON.
    """
    today = today_in(session.organization.time_zone, app_state(request).now())
    days = await choose_days(session, query, today)
    metadata = await read_metadata(request, session, principal, tuple(TABLES), days)
    await session.finish()
    text = json.dumps(metadata, indent=2)
    name = file_name(principal.organization, days, "focus-1.4", "metadata", kind="json")
    await audit_export(request, principal, name)
    return FileResponse(one_piece(text.encode()), name, "application/json")


async def one_piece(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
