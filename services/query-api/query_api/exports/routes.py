"""GET /api/v1/export/usage and table, as CSV and Parquet. Their totals equal those of the dashboard."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.auth.principal import Principal
from query_api.calendar import today_in
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import surfaces_in_name
from query_api.exports.domain.table import TABLE_COLUMNS, table_lines
from query_api.exports.downloads import FileResponse
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, lines_of, write_file
from query_api.exports.manifests.manifest import About, Filters
from query_api.exports.manifests.recording import Recording, Store, new_id, program, read_state, with_manifest
from query_api.exports.parts import A_FILE, A_PARQUET_FILE, BOM, UsageFileQuery, audit_export, send_file, who_in_name
from query_api.exports.usage import USAGE_COLUMNS, read_usage_data, usage_parts
from query_api.http.problems import invalid_parameter
from query_api.usage.breakdown.compute import read_breakdown
from query_api.usage.breakdown.names import names_of
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.versions import select_usage_version

router = APIRouter(prefix="/api/v1/export")


class UsageCsvQuery(UsageFileQuery):
    bom: bool = BOM


class TableCsvQuery(BreakdownQuery):
    bom: bool = BOM


@router.get("/usage.csv", response_class=Response, responses=with_manifest(A_FILE))
async def get_usage_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageCsvQuery, Query()]
) -> FileResponse:
    """The daily data behind the tables. Corrections are separate, signed lines; with actor, group or label, lines include them.

    Names that a spreadsheet would interpret as formulas get a leading apostrophe. Ids get one only if a spreadsheet would
    execute them (`=x`, `@SUM(1)`): remove that apostrophe to get the id.
    """
    return await send_usage(request, session, principal, query, CsvWriter(USAGE_COLUMNS, bom=query.bom))


@router.get("/usage.parquet", response_class=Response, responses=with_manifest(A_PARQUET_FILE))
async def get_usage_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> FileResponse:
    """The lines of `usage.csv` with types: credits are decimals, dates are dates, names and ids have no apostrophes."""
    return await send_usage(request, session, principal, query, ParquetWriter(USAGE_COLUMNS, {}))


async def send_usage(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, writer: FileWriter
) -> FileResponse:
    """A file of all people is recorded: its manifest says what was in it."""
    app = app_state(request)
    data = await read_usage_data(request, session, principal, query, writer.rules)
    filters = (query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    if data.spans is not None or session.organization_id is None:
        parts = usage_parts(session, data, writer.rules)
        return await send_file(request, principal, data.days, writer, parts, "usage", *filters)
    state = await read_state(session, app.topic, data.days, data.periods)
    name = await audit_export(request, principal, data.days, "usage", *filters, extension=writer.extension)
    about = About(
        new_id(), principal.organization, name, writer.extension, getattr(query, "bom", False), app.now(),
        Filters(query.product, query.view, query.surface), data.days, data.account.time_zone, program(), app.topic, state,
    )  # fmt: skip
    recording = Recording(about, Store(app.pool, app.export_key, app.export_limits))
    pieces = recording.record(write_file(writer, usage_parts(session, data, writer.rules, recording)))
    return FileResponse(pieces, name, writer.media_type, headers=recording.headers)


@router.get("/table.csv", response_class=Response, responses=A_FILE)
async def get_table_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[TableCsvQuery, Query()]
) -> FileResponse:
    """The table as in the dashboard: all rows of `breakdown`. Rows with is_leaf true add up to its total."""
    return await send_table(request, session, principal, query, CsvWriter(TABLE_COLUMNS, bom=query.bom))


@router.get("/table.parquet", response_class=Response, responses=A_PARQUET_FILE)
async def get_table_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[BreakdownQuery, Query()]
) -> FileResponse:
    """The lines of `table.csv` with types; names and ids have no apostrophes."""
    return await send_table(request, session, principal, query, ParquetWriter(TABLE_COLUMNS, {}))


async def send_table(
    request: Request, session: ReadSession, principal: Principal, query: BreakdownQuery, writer: FileWriter
) -> FileResponse:
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
    await session.finish()  # a client that reads slowly must not keep a connection
    lines = lines_of(table_lines(table.rows, table.total, writer.rules))
    return await send_file(request, principal, table.days, writer, lines, "table", *filters)
