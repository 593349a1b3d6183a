"""GET /api/v1/export/focus.csv and focus.parquet."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.auth.principal import Principal
from query_api.db.session import ReadSession
from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.downloads import FileResponse
from query_api.exports.focus.cost_and_usage import SPLIT_COLUMNS, parts_1_2, parts_1_4, read_usage
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.reading import FocusQuery, Version, read_focus, reference_lines
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, lines_of
from query_api.exports.parts import A_FILE, A_PARQUET_FILE, BOM, send_file, who_in_name

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
        writer = CsvWriter(TABLES[query.dataset].columns, bom=query.bom)
        return await send_focus(request, session, principal, query, writer)
    writer = CsvWriter(FOCUS_COLUMNS + (SPLIT_COLUMNS if query.split else ()), bom=query.bom)
    data = await read_focus(request, session, principal, query, "1.2", writer.rules)
    parts = parts_1_2(session, data, await read_usage(session, data))
    return await send_file(request, principal, data.days, writer, parts, "focus", query.split, who_in_name(query))


@router.get("/focus.parquet", response_class=Response, responses=A_PARQUET_FILE)
async def get_focus_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusQuery, Query()]
) -> FileResponse:
    """The lines of `focus.csv` in version 1.4 with types: amounts are decimals, instants are UTC, texts have no apostrophes."""
    return await send_focus(request, session, principal, query, ParquetWriter(TABLES[query.dataset].columns, {}))


async def send_focus(
    request: Request, session: ReadSession, principal: Principal, query: FocusQuery, writer: FileWriter
) -> FileResponse:
    """A dataset of FOCUS 1.4."""
    data = await read_focus(request, session, principal, query, "1.4", writer.rules)
    if query.dataset == "cost-and-usage":
        parts = parts_1_4(session, data, await read_usage(session, data), writer.rules)
    else:
        parts = lines_of(reference_lines(data, query.dataset, writer.rules))
    dataset = query.dataset if query.dataset != "cost-and-usage" else None
    names = ("focus-1.4", dataset, query.split, who_in_name(query))
    return await send_file(request, principal, data.days, writer, parts, *names)
