"""GET /api/v1/export/people.csv."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.attributions.selection import refuse_people
from query_api.calendar import today_in
from query_api.contracts.range import choose_days
from query_api.exports.domain.cells import (
    end_lines,
    surfaces_in_name,
)
from query_api.exports.domain.focus import (
    each_day,
)
from query_api.exports.domain.labels import label_cells
from query_api.exports.downloads import FileResponse, Put
from query_api.exports.parts import (
    A_FILE,
    LINES_OF_ONE,
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
    copy_people,
    select_exported_series,
)
from query_api.exports.who import read_who_filter

router = APIRouter(prefix="/api/v1/export")

PEOPLE_COLUMNS = (
    "date", "actor_kind", "actor_id", "actor_name", "group_id", "group_name", "labels", *USAGE_COLUMNS[1:11], "credits", "events",
    "organization_id", "time_zone",
)  # fmt: skip


@router.get("/people.csv", response_class=Response, responses=A_FILE)
async def get_people_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> FileResponse:
    """The daily data by who used it. Lines add up to the same totals as `usage.csv`; corrections are included in `credits`.

    `actor_kind` is `user`, `service_account`, `removed` (removed people together) or `unattributed` (usage without an actor).
    While people are pseudonymous, `actor_id` is the alias. `labels` is a JSON object of declared keys. Cells are escaped as in
    `usage.csv`. A filter by group takes the groups that people were in on the day. Refused if the organization shows groups only.
    """
    refuse_people(session.organization.people, LINES_OF_ONE)
    who = await read_who_filter(session, query)
    today = today_in(session.organization.time_zone, app_state(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(session, query, today)
    series = await select_exported_series(session, products, kinds, query.surface)
    catalog = await read_catalog(session, products, today)
    account = read_account(request, session, principal)

    async def write(put: Put) -> None:
        async def put_lines(data: bytes) -> None:
            await put(end_lines(data))

        await put(begin_file(PEOPLE_COLUMNS, bom=query.bom))
        async for month, labels in label_months(session, series, catalog, days):
            cells = [label_cells(label) for label in labels]
            for day in each_day(month):  # so that Postgres sorts one day in memory
                of_day = [label for label in cells if label.first <= day <= label.last]
                await copy_people(session, of_day, day, account, who, put_lines)

    filters = (query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    return FileResponse(write, await audit_export(request, principal, days, "people", *filters))
