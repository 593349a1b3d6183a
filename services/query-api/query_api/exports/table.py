"""The file of a breakdown."""

from fastapi import Request

from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import surfaces_in_name
from query_api.exports.domain.table import TABLE_COLUMNS, table_lines
from query_api.exports.formats.files import FileWriter, Parts, lines_of
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.parts import BOM, who_in_name
from query_api.exports.planned import Planned
from query_api.http.problems import invalid_parameter
from query_api.turns import compute
from query_api.usage.breakdown.compute import read_breakdown
from query_api.usage.breakdown.names import names_of
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.versions import select_usage_version


class TableCsvQuery(BreakdownQuery):
    bom: bool = BOM


async def plan_table(request: Request, session: ReadSession, query: BreakdownQuery, writer: FileWriter) -> Planned:
    """Raises ApiProblem."""
    if query.limit is not None or query.after is not None:
        raise invalid_parameter("limit" if query.after is None else "after", "a file always has all rows")
    app = app_state(request)
    today = today_in(session.organization.time_zone, app.now())
    version = await select_usage_version(session, app.topic)
    names = names_of(request)
    # Rows that only the range before has are not in the file: it would have other lines whenever that range grows.
    used = await read_breakdown(session, names, app.cache, query, today, version, with_previous=False)
    table = await compute(session.organization_id, used.size, used.compute)
    what = (
        "table", query.product, query.view, surfaces_in_name(query.surface), query.group_by and "by-surface",
        "categories-of-now" if query.categories == "now" else None, who_in_name(query),
    )  # fmt: skip

    def parts(_: Keeper | None) -> Parts:
        return lines_of(table_lines(table.rows, table.total, writer.rules))

    return Planned(
        "table", table.days, what, writer, parts, tuple(TABLE_COLUMNS), None, credits=table.total,
        is_of_some=query.names_who, is_read=True,
    )  # fmt: skip
