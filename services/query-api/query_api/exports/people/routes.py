"""GET /api/v1/export/people.csv and people.parquet."""

import asyncio
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.attributions.selection import refuse_people
from query_api.auth.principal import Principal
from query_api.calendar import today_in
from query_api.contracts.range import choose_days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import surfaces_in_name
from query_api.exports.domain.focus import each_day
from query_api.exports.domain.kinds import Columns
from query_api.exports.domain.labels import label_cells
from query_api.exports.downloads import FileResponse
from query_api.exports.formats.batches import Batch, read_lines
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, Parts, copied
from query_api.exports.parts import (
    A_FILE,
    A_PARQUET_FILE,
    BOM,
    LABEL_COLUMNS,
    LINES_OF_ONE,
    UsageFileQuery,
    choose_products,
    label_months,
    read_account,
    read_catalog,
    send_file,
    who_in_name,
)
from query_api.exports.queries import copy_people, select_exported_series
from query_api.exports.who import read_who_filter

router = APIRouter(prefix="/api/v1/export")

PEOPLE_COLUMNS: Columns = {
    "date": "day", **dict.fromkeys(("actor_kind", "actor_id", "actor_name", "group_id", "group_name"), "text"), "labels": "json",
    **dict.fromkeys(LABEL_COLUMNS, "text"), "credits": "credits", "events": "count",
    "organization_id": "text", "time_zone": "text",
}  # fmt: skip


class PeopleCsvQuery(UsageFileQuery):
    bom: bool = BOM


@router.get("/people.csv", response_class=Response, responses=A_FILE)
async def get_people_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[PeopleCsvQuery, Query()]
) -> FileResponse:
    """The daily data by who used it. Lines add up to the same totals as `usage.csv`; corrections are included in `credits`.

    `actor_kind` is `user`, `service_account`, `removed` (removed people together), `unattributed` (usage without an actor) or
    `other` (people beyond the limit of new combinations). While people are pseudonymous, `actor_id` is the alias. `labels` is
    a JSON object of declared keys; beyond the limit, each value is empty. Cells are escaped as in `usage.csv`.
    A filter by group takes the groups that people were in on the day. Refused if the organization shows groups only.
    """
    return await send_people(request, session, principal, query, CsvWriter(PEOPLE_COLUMNS, bom=query.bom))


@router.get("/people.parquet", response_class=Response, responses=A_PARQUET_FILE)
async def get_people_parquet(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageFileQuery, Query()]
) -> FileResponse:
    """The lines of `people.csv` with types: credits are decimals, dates are dates, names and ids have no apostrophes."""
    return await send_people(request, session, principal, query, ParquetWriter(PEOPLE_COLUMNS, {}))


async def send_people(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, writer: FileWriter
) -> FileResponse:
    refuse_people(session.organization.people, LINES_OF_ONE)
    who = await read_who_filter(session, query)
    today = today_in(session.organization.time_zone, app_state(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(session, query, today)
    series = await select_exported_series(session, products, kinds, query.surface)
    catalog = await read_catalog(session, products, today)
    account, patterns = read_account(request, session, principal, writer.rules), writer.rules.patterns

    async def parts() -> Parts:
        async for month, labels in label_months(session, series, catalog, days):
            cells = [label_cells(label, writer.rules) for label in labels]
            for day in each_day(month):  # so that Postgres sorts one day in memory
                of_day = [label for label in cells if label.first <= day <= label.last]
                async with aclosing(
                    copied(partial(copy_people, session, of_day, day, account, who, patterns))
                ) as lines:
                    async for part in lines:
                        yield await asyncio.to_thread(typed_lines, part) if isinstance(writer, ParquetWriter) else part

    filters = (query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    return await send_file(request, principal, days, writer, parts(), "people", *filters)


def typed_lines(data: bytes) -> Batch:
    columns = read_lines(data, PEOPLE_COLUMNS)
    return Batch(len(columns["date"]), columns)
