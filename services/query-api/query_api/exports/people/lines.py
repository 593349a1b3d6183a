"""The file of usage by who used it."""

import asyncio
from contextlib import aclosing
from functools import partial

from fastapi import Request

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
from query_api.exports.formats.batches import Batch, read_lines
from query_api.exports.formats.files import FileWriter, ParquetWriter, Parts, copied
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.parts import (
    BOM,
    LABEL_COLUMNS,
    LINES_OF_ONE,
    UsageFileQuery,
    choose_products,
    label_months,
    read_account,
    read_catalog,
    who_in_name,
)
from query_api.exports.planned import Planned
from query_api.exports.queries import copy_people, select_exported_series
from query_api.exports.who import read_who_filter

PEOPLE_COLUMNS: Columns = {
    "date": "day", **dict.fromkeys(("actor_kind", "actor_id", "actor_name", "group_id", "group_name"), "text"), "labels": "json",
    **dict.fromkeys(LABEL_COLUMNS, "text"), "credits": "credits", "events": "count",
    "organization_id": "text", "time_zone": "text",
}  # fmt: skip


class PeopleCsvQuery(UsageFileQuery):
    bom: bool = BOM


async def plan_people(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, writer: FileWriter
) -> Planned:
    """Raises ApiProblem."""
    refuse_people(session.organization.people, LINES_OF_ONE)
    who = await read_who_filter(session, query)
    today = today_in(session.organization.time_zone, app_state(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(session, query, today)
    series = await select_exported_series(session, products, kinds, query.surface)
    catalog = await read_catalog(session, products, today)
    account, patterns = read_account(request, session, principal, writer.rules), writer.rules.patterns

    async def parts(_: Keeper | None) -> Parts:
        async for month, labels in label_months(session, series, catalog, days):
            cells = [label_cells(label, writer.rules) for label in labels]
            for day in each_day(month):  # so that Postgres sorts one day in memory
                of_day = [label for label in cells if label.first <= day <= label.last]
                async with aclosing(
                    copied(partial(copy_people, session, of_day, day, account, who, patterns))
                ) as lines:
                    async for part in lines:
                        yield await asyncio.to_thread(typed_lines, part) if isinstance(writer, ParquetWriter) else part

    what = ("people", query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    return Planned("people", days, what, writer, parts, tuple(PEOPLE_COLUMNS), "credits", is_of_some=query.names_who)


def typed_lines(data: bytes) -> Batch:
    columns = read_lines(data, PEOPLE_COLUMNS)
    return Batch(len(columns["date"]), columns)
