"""GET /api/v1/export/usage.csv and table.csv. Their totals equal those of the dashboard."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.attributions.cells import EVERYTHING
from query_api.attributions.usage import choose_spans
from query_api.calendar import today_in
from query_api.contracts.range import choose_days
from query_api.exports.domain.cells import (
    end_lines,
    surfaces_in_name,
    write_lines,
)
from query_api.exports.domain.labels import label_cells
from query_api.exports.domain.table import TABLE_COLUMNS, table_lines
from query_api.exports.downloads import FileResponse, Put, file_headers
from query_api.exports.parts import (
    A_FILE,
    BOM,
    USAGE_COLUMNS,
    UsageFileQuery,
    audit_export,
    begin_file,
    choose_products,
    label_months,
    read_account,
    read_catalog,
    who_in_name,
)
from query_api.exports.queries import (
    copy_selected_usage,
    copy_usage,
    select_exported_series,
)
from query_api.http.problems import invalid_parameter
from query_api.usage.breakdown.compute import read_breakdown
from query_api.usage.breakdown.names import names_of
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.versions import select_usage_version

router = APIRouter(prefix="/api/v1/export")


class TableQuery(BreakdownQuery):
    bom: bool = BOM


@router.get("/usage.csv", response_class=Response, responses=A_FILE)
async def get_usage_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> FileResponse:
    """The daily data behind the tables. Corrections are separate, signed lines; with actor, group or label, lines include them.

    Names that a spreadsheet would interpret as formulas get a leading apostrophe. Ids get one only if a spreadsheet would
    execute them (`=x`, `@SUM(1)`): remove that apostrophe to get the id.
    """
    today = today_in(session.organization.time_zone, app_state(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(session, query, today)
    series = await select_exported_series(session, products, kinds, query.surface)
    chosen = await choose_spans(
        session, query, today, days, None, [each.series_id for each in series], split=EVERYTHING
    )
    catalog = await read_catalog(session, products, today)
    account = read_account(request, session, principal)

    async def write(put: Put) -> None:
        async def put_lines(data: bytes) -> None:
            await put(end_lines(data))

        await put(begin_file(USAGE_COLUMNS, bom=query.bom))
        async for month, labels in label_months(session, series, catalog, days):
            cells = [label_cells(label) for label in labels]
            if chosen is None:
                await copy_usage(session, cells, month, account, put_lines)
            elif chosen.spans:
                await copy_selected_usage(session, cells, month, account, chosen.spans, put_lines)

    filters = (query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    return FileResponse(write, await audit_export(request, principal, days, "usage", *filters))


@router.get("/table.csv", response_class=Response, responses=A_FILE)
async def get_table_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[TableQuery, Query()]
) -> Response:
    """The table as in the dashboard: all rows of `breakdown`. Rows with is_leaf true add up to its total."""
    if query.limit is not None or query.after is not None:
        raise invalid_parameter("limit" if query.after is None else "after", "a file always has all rows")
    app = app_state(request)
    today = today_in(session.organization.time_zone, app.now())
    version = await select_usage_version(session, app.topic)
    table = (await read_breakdown(session, names_of(request), app.cache, query, today, version)).compute()
    filters = (
        query.product, query.view, surfaces_in_name(query.surface), query.group_by and "by-surface",
        "categories-of-now" if query.categories == "now" else None, who_in_name(query),
    )  # fmt: skip
    return Response(
        begin_file(TABLE_COLUMNS, bom=query.bom) + write_lines(table_lines(table.rows, table.total)),
        headers=file_headers(await audit_export(request, principal, table.days, "table", *filters)),
    )
