"""GET /api/v1/export/focus.csv."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.exports.domain.cells import GUARDED
from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.downloads import FileResponse, Put
from query_api.exports.focus.cost_and_usage import SPLIT_COLUMNS, put_formatted, read_usage, write_1_2, write_1_4
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.reading import FocusQuery, Version, read_focus, reference_lines
from query_api.exports.parts import A_FILE, BOM, audit_export, begin_file, who_in_name

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
    data = await read_focus(request, session, principal, query, query.version, GUARDED)
    usage = await read_usage(session, data)

    async def write(put: Put) -> None:
        if query.version == "1.2":
            await put(begin_file(FOCUS_COLUMNS + (SPLIT_COLUMNS if query.split else ()), bom=query.bom))
            await write_1_2(session, data, usage, put)
        else:
            await put(begin_file(tuple(TABLES[query.dataset].columns), bom=query.bom))
            if query.dataset == "cost-and-usage":
                await write_1_4(session, data, usage, GUARDED, put)
            else:
                await put_formatted(reference_lines(data, query.dataset, GUARDED), put)

    content = "focus" if query.version == "1.2" else f"focus-{query.version}"
    dataset = query.dataset if query.dataset != "cost-and-usage" else None
    names = (content, dataset, query.split, who_in_name(query))
    return FileResponse(write, await audit_export(request, principal, data.days, *names))
