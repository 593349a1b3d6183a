"""GET /api/v1/export/focus.csv."""

import asyncio
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from flexcredits_schemas.events import PRODUCTS
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import refuse_people
from query_api.calendar import Days, today_in
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.queries import select_contracts, select_credit_periods, sum_days
from query_api.contracts.range import RangeQuery, choose_days
from query_api.exports.domain.cells import (
    end_lines,
    write_lines,
)
from query_api.exports.domain.focus import (
    FOCUS_COLUMNS,
    focus_days,
    focus_labels,
    purchase_lines,
)
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.downloads import FileResponse, Put
from query_api.exports.parts import (
    A_FILE,
    ALL_KINDS,
    BOM,
    LINES_OF_ONE,
    audit_export,
    begin_file,
    label_months,
    read_account,
    read_catalog,
    who_in_name,
)
from query_api.exports.queries import (
    copy_focus,
    copy_focus_people,
    select_exported_series,
)
from query_api.exports.who import read_who_filter
from query_api.http.problems import invalid_parameter

router = APIRouter(prefix="/api/v1/export")

SPLIT_COLUMNS = ("x_Actor", "x_Group")
"""Further columns of a FOCUS file that is split by people."""

CORRECTIONS_AT_ONCE = 500
"""Rows per step: formatting them takes about 20 ms, then other requests run."""


class FocusQuery(RangeQuery, WhoQuery):
    split: Literal["people"] | SkipJsonSchema[None] = Field(
        None,
        description="people: a row for each actor and group, in the columns x_Actor and x_Group, empty for usage without them. "
        "Corrections are in the rows of who used it, without a ChargeClass. All sums stay the same. Refused if the "
        "organization shows groups only. Only then a file may be filtered by actor, group and label; it has no purchases and no "
        "corrections of prices, which are of all usage together.",
    )
    bom: bool = BOM


@router.get("/focus.csv", response_class=Response, responses=A_FILE)
async def get_focus_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[FocusQuery, Query()]
) -> FileResponse:
    """The daily data as FOCUS 1.2. Credits are prepaid; overage is a Purchase.

    Each day has the prices that were known on it. If a later contract version changes them, the difference is a Correction in
    the month in which that version was received. `SkuId` always contains the exact id of the feature.
    """
    if query.split is not None:
        refuse_people(session.organization.people, LINES_OF_ONE)
    elif query.names_who:
        raise invalid_parameter("split", "must be `people` with `actor`, `group` or `label`")
    who = await read_who_filter(session, query)
    time_zone = session.organization.time_zone
    today = today_in(time_zone, app_state(request).now())
    periods = await select_credit_periods(session)
    days = await choose_days(session, query, today, periods)
    series = await select_exported_series(session, PRODUCTS, ALL_KINDS, None)
    catalog = await read_catalog(session, PRODUCTS, today)
    account = read_account(request, session, principal)
    contracts = await select_contracts(session)
    spans = [*(contract.span for contract in contracts), *(period.span for period in periods)]
    begins_on = min((span.starts_on for span in spans), default=days.first)
    used = await sum_days(session, Days(begins_on, max(begins_on, days.last)))
    overage = overage_by_day(used, periods)
    more = SPLIT_COLUMNS if query.split else ()
    empty = [None] * len(more)

    async def write(put: Put) -> None:
        async def put_lines(data: bytes) -> None:
            await put(end_lines(data))

        await put(begin_file(FOCUS_COLUMNS + more, bom=query.bom))
        async for month, labels in label_months(session, series, catalog, days):
            calendar = focus_days(month, time_zone, contracts, periods)
            if query.split is None:
                await copy_focus(session, focus_labels(labels), calendar, month, account, put_lines)
            for day in calendar if query.split else ():
                of_day = [label for label in labels if label.first <= day.day <= label.last]
                await copy_focus_people(session, focus_labels(of_day), day, account, who, put_lines)
            if not query.names_who and (purchases := purchase_lines(calendar, overage, account)):
                await put(write_lines([*line, *empty] for line in purchases))
        corrections, lines = price_corrections(contracts, periods, used, overage, days), bytearray()
        while not query.names_who and (some := list(islice(corrections, CORRECTIONS_AT_ONCE))):
            lines += write_lines([*line, *empty] for line in correction_lines(some, account))
            await asyncio.sleep(0)
        if lines:
            await put(bytes(lines))

    return FileResponse(write, await audit_export(request, principal, days, "focus", query.split, who_in_name(query)))
