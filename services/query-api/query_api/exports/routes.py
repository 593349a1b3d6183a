"""GET /api/v1/export/usage and table, as CSV and Parquet. Their totals equal those of the dashboard."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.auth.principal import Principal
from query_api.db.session import ReadSession
from query_api.exports.domain.table import TABLE_COLUMNS
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter
from query_api.exports.manifests.recording import with_manifest
from query_api.exports.parts import A_FILE, A_PARQUET_FILE, UsageFileQuery
from query_api.exports.planned import send_planned
from query_api.exports.table import TableCsvQuery, plan_table
from query_api.exports.usage import USAGE_COLUMNS, UsageCsvQuery, plan_usage
from query_api.usage.breakdown.schemas import BreakdownQuery

router = APIRouter(prefix="/api/v1/export")


@router.get("/usage.csv", response_class=Response, responses=with_manifest(A_FILE))
async def get_usage_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageCsvQuery, Query()]
) -> Response:
    """The daily data behind the tables. Corrections are separate, signed lines; with actor, group or label, lines include them.

    Names that a spreadsheet would interpret as formulas get a leading apostrophe. Ids get one only if a spreadsheet would
    execute them (`=x`, `@SUM(1)`): remove that apostrophe to get the id.
    """
    return await send_usage(request, session, principal, query, CsvWriter(USAGE_COLUMNS, bom=query.bom))


@router.get("/usage.parquet", response_class=Response, responses=with_manifest(A_PARQUET_FILE))
async def get_usage_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> Response:
    """The lines of `usage.csv` with types: credits are decimals, dates are dates, names and ids have no apostrophes."""
    return await send_usage(request, session, principal, query, ParquetWriter(USAGE_COLUMNS, {}))


async def send_usage(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, writer: FileWriter
) -> Response:
    planned = await plan_usage(request, session, principal, query, writer)
    return await send_planned(request, session, principal, query, planned)


@router.get("/table.csv", response_class=Response, responses=with_manifest(A_FILE))
async def get_table_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[TableCsvQuery, Query()]
) -> Response:
    """The table as in the dashboard: all rows of `breakdown` with usage in the range. Leaves (is_leaf) add up to its total."""
    return await send_table(request, session, principal, query, CsvWriter(TABLE_COLUMNS, bom=query.bom))


@router.get("/table.parquet", response_class=Response, responses=with_manifest(A_PARQUET_FILE))
async def get_table_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[BreakdownQuery, Query()]
) -> Response:
    """The lines of `table.csv` with types; names and ids have no apostrophes."""
    return await send_table(request, session, principal, query, ParquetWriter(TABLE_COLUMNS, {}))


async def send_table(
    request: Request, session: ReadSession, principal: Principal, query: BreakdownQuery, writer: FileWriter
) -> Response:
    planned = await plan_table(request, session, query, writer)
    return await send_planned(request, session, principal, query, planned)
