"""GET /api/v1/export/focus.csv, focus.parquet and focus.json."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.auth.principal import Principal
from query_api.calendar import Days, today_in
from query_api.contracts.queries import select_days
from query_api.contracts.range import RangeQuery, choose_days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import EXACT, GUARDED
from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.downloads import FileResponse
from query_api.exports.focus.cost_and_usage import SPLIT_COLUMNS, parts_1_2, parts_1_4, read_usage
from query_api.exports.focus.domain.columns import TABLES, Dataset
from query_api.exports.focus.domain.metadata import describe_datasets
from query_api.exports.focus.reading import FocusQuery, Version, read_focus, reference_lines
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, lines_of
from query_api.exports.parts import A_FILE, A_JSON_FILE, A_PARQUET_FILE, BOM, audit_export, send_file, who_in_name
from query_api.freshness.queries import count_held, select_quarantine, select_watermark

router = APIRouter(prefix="/api/v1/export")


class FocusFileQuery(FocusQuery):
    version: Version = Field("1.2", description="1.2 is available until November 2027.")
    bom: bool = BOM


@router.get("/focus.csv", response_class=Response, responses=A_FILE)
async def get_focus_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusFileQuery, Query()]
) -> FileResponse:
    """The daily data as FOCUS 1.2 or 1.4, and its other datasets. Credits are prepaid; overage is a Purchase.

    Each day has the prices that were known on it. If a later contract version changes them, the difference is a Correction in
    the month in which that version was received. `SkuId` always contains the exact id of the feature. In 1.4,
    contracted credits and the shortfall of a minimum commitment are Purchases too: lines with an `InvoiceId` add up to it.
    """
    if query.version == "1.4":
        return await send_focus(request, session, principal, query, "csv", bom=query.bom)
    writer = CsvWriter(FOCUS_COLUMNS + (SPLIT_COLUMNS if query.split else ()), bom=query.bom)
    data = await read_focus(request, session, principal, query, "1.2", writer.rules)
    parts = parts_1_2(session, data, await read_usage(session, data))
    return await send_file(request, principal, data.days, writer, parts, "focus", query.split, who_in_name(query))


@router.get("/focus.parquet", response_class=Response, responses=A_PARQUET_FILE)
async def get_focus_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusQuery, Query()]
) -> FileResponse:
    """The lines of `focus.csv` in version 1.4 with types: amounts are decimals, instants are UTC, texts have no apostrophes."""
    return await send_focus(request, session, principal, query, "parquet")


@router.get("/focus.json", response_class=Response, responses=A_JSON_FILE)
async def get_focus_metadata(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[RangeQuery, Query()]
) -> FileResponse:
    """Metadata of FOCUS 1.4 about the datasets of these days: Dataset Instance, and Recency from the watermark.

    A day is complete if its end is not after the watermark; usage that arrives late changes it still. Without a watermark,
    Recency is empty. Parquet files have the metadata of their dataset in their key-value metadata, each part as JSON.
    """
    today = today_in(session.organization.time_zone, app_state(request).now())
    days = await choose_days(session, query, today)
    metadata = await read_metadata(request, session, principal, tuple(TABLES), days)
    await session.finish()
    text = json.dumps(metadata, indent=2)
    name = await audit_export(request, principal, days, "focus-1.4", "metadata", extension="json")
    return FileResponse(one_piece(text.encode()), name, "application/json")


async def one_piece(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


async def send_focus(
    request: Request, session: ReadSession, principal: Principal, query: FocusQuery, form: Literal["csv", "parquet"], *,
    bom: bool = False,
) -> FileResponse:  # fmt: skip
    """A dataset of FOCUS 1.4."""
    rules = EXACT if form == "parquet" else GUARDED
    data = await read_focus(request, session, principal, query, "1.4", rules)
    columns = TABLES[query.dataset].columns
    writer: FileWriter = CsvWriter(columns, bom=bom)
    if form == "parquet":
        metadata = await read_metadata(request, session, principal, [query.dataset], data.days)
        parts_of = {name: part if isinstance(part, str) else json.dumps(part) for name, part in metadata.items()}
        writer = ParquetWriter(columns, parts_of)
    if query.dataset == "cost-and-usage":
        parts = parts_1_4(session, data, await read_usage(session, data), rules)
    else:
        await session.finish()  # a client that reads slowly must not keep a connection
        parts = lines_of(reference_lines(data, query.dataset, rules))
    dataset = query.dataset if query.dataset != "cost-and-usage" else None
    names = ("focus-1.4", dataset, query.split, who_in_name(query))
    return await send_file(request, principal, data.days, writer, parts, *names)


async def read_metadata(
    request: Request, session: ReadSession, principal: Principal, datasets: Sequence[Dataset], days: Days
) -> dict[str, Any]:
    """Of the days with usage, up to today: a credit period may have no end."""
    app = app_state(request)
    watermark = await select_watermark(session, app.topic)
    is_all_counted = not (await count_held(session, app.topic) or await select_quarantine(session))
    time_zone, used = session.organization.time_zone, await select_days(session)
    with_data = None
    if used is not None:
        first, last = max(days.first, used.first), min(days.last, max(used.last, today_in(time_zone, app.now())))
        with_data = Days(first, last) if first <= last else None
    return describe_datasets(
        datasets, principal.organization, days, with_data, time_zone, watermark.complete_to, is_all_counted, app.now()
    )
