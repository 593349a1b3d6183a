"""GET /api/v1/export/*: files for spreadsheets and finance tools. Their totals equal those of the dashboard."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from itertools import islice
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, ExportAccess
from query_api.access.state import app_state
from query_api.attributions.cells import EVERYTHING
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import refuse_people
from query_api.attributions.usage import choose_spans
from query_api.auth.principal import Principal
from query_api.calendar import Days, today_in
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.queries import select_contracts, select_credit_periods, select_days, sum_days
from query_api.contracts.range import RangeQuery, choose_days
from query_api.db.session import ReadSession, write_as
from query_api.exports.domain.cells import (
    BYTE_ORDER_MARK,
    end_lines,
    file_name,
    surfaces_in_name,
    text_cell,
    write_lines,
)
from query_api.exports.domain.focus import (
    FOCUS_COLUMNS,
    BillingAccount,
    each_day,
    focus_days,
    focus_labels,
    purchase_lines,
)
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.domain.labels import Catalog, Label, UsedSeries, build_labels, label_cells, months_of
from query_api.exports.domain.table import TABLE_COLUMNS, table_lines
from query_api.exports.downloads import FileResponse, Put, file_headers
from query_api.exports.queries import (
    copy_focus,
    copy_focus_people,
    copy_people,
    copy_selected_usage,
    copy_usage,
    prepare_copy,
    select_exported_series,
    select_used_series,
)
from query_api.http.problems import invalid_parameter
from query_api.usage.breakdown.compute import read_breakdown
from query_api.usage.breakdown.names import names_of
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.domain.catalog import Features, View
from query_api.usage.queries import select_agents, select_features
from query_api.usage.versions import select_usage_version
from query_api.usage.views import kinds_of

router = APIRouter(prefix="/api/v1/export")

USAGE_COLUMNS = (
    "date", "product", "kind", "category", "category_now", "feature", "feature_name", "agent_id", "agent_name", "agent_status",
    "surface", "line", "credits", "events", "organization_id", "time_zone",
)  # fmt: skip

PEOPLE_COLUMNS = (
    "date", "actor_kind", "actor_id", "actor_name", "group_id", "group_name", "labels", *USAGE_COLUMNS[1:11], "credits", "events",
    "organization_id", "time_zone",
)  # fmt: skip

SPLIT_COLUMNS = ("x_Actor", "x_Group")
"""Further columns of a FOCUS file that is split by people."""

LINES_OF_ONE = (
    "This organization shows usage by group only, and a line of this file may be about one person: a group's day and feature. "
    "The tab People shows groups. A Super Admin can change this."
)

CORRECTIONS_AT_ONCE = 500
"""Rows per step: formatting them takes about 20 ms, then other requests run."""

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)

A_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file. It is complete if the response ends as HTTP defines; otherwise the connection is closed early.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "date,product,...\r\n2026-11-22,agents,...\r\n"}
        },
    }
}


BOM = Field(False, description="Start the file with a byte order mark, so that Excel reads it as UTF-8.")


class UsageQuery(RangeQuery):
    """Which usage, and which days. Without a product, all products."""

    product: Product | None = None
    view: View | None = Field(None, description="Only kinds of feature that this view of the product shows.")
    surface: list[str] | SkipJsonSchema[None] = Field(None, description="Only these surfaces; may be repeated.")
    bom: bool = BOM


class UsageFileQuery(UsageQuery, WhoQuery):
    """Also whose usage."""


class TableQuery(BreakdownQuery):
    bom: bool = BOM


class FocusQuery(RangeQuery):
    split: Literal["people"] | SkipJsonSchema[None] = Field(
        None,
        description="people: a row for each actor and group, in the columns x_Actor and x_Group, empty for usage without them. "
        "Corrections are in the rows of who used it, without a ChargeClass. All sums stay the same. Refused if the "
        "organization shows groups only.",
    )
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


@router.get("/people.csv", response_class=Response, responses=A_FILE)
async def get_people_file(
    request: Request, session: ExportAccess, principal: CurrentUser, query: Annotated[UsageQuery, Query()]
) -> FileResponse:
    """The daily data by who used it. Lines add up to the same totals as `usage.csv`; corrections are included in `credits`.

    `actor_kind` is `user`, `service_account`, `removed` (removed people together) or `unattributed` (usage without an actor).
    While people are pseudonymous, `actor_id` is the alias. `labels` is a JSON object of declared keys. Cells are escaped as in
    `usage.csv`. Refused if the organization shows groups only.
    """
    refuse_people(session.organization.people, LINES_OF_ONE)
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
                await copy_people(session, of_day, day, account, put_lines)

    filters = (query.product, query.view, surfaces_in_name(query.surface))
    return FileResponse(write, await audit_export(request, principal, days, "people", *filters))


def who_in_name(query: WhoQuery) -> str | None:
    """Part of a file's name. It names no person, so that a name in a folder or the audit log reveals none."""
    given = [name for name in ("actor", "group", "label") if getattr(query, name) is not None]
    return f"by-{'-'.join(given)}" if given else None


def choose_products(query: UsageQuery) -> tuple[list[Product], tuple[FeatureKind, ...]]:
    """Products and kinds of feature that a request selects. Raises ApiProblem."""
    if query.product is None:
        if query.view is not None:
            raise invalid_parameter("view", "needs a `product`")
        return list(PRODUCTS), ALL_KINDS
    return [query.product], ALL_KINDS if query.view is None else kinds_of(query.product, query.view)


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
                await copy_focus_people(session, focus_labels(of_day), day, account, put_lines)
            if purchases := purchase_lines(calendar, overage, account):
                await put(write_lines([*line, *empty] for line in purchases))
        corrections, lines = price_corrections(contracts, periods, used, overage, days), bytearray()
        while some := list(islice(corrections, CORRECTIONS_AT_ONCE)):
            lines += write_lines([*line, *empty] for line in correction_lines(some, account))
            await asyncio.sleep(0)
        if lines:
            await put(bytes(lines))

    return FileResponse(write, await audit_export(request, principal, days, "focus", query.split))


def begin_file(columns: Sequence[str], *, bom: bool) -> bytes:
    return (BYTE_ORDER_MARK if bom else b"") + write_lines([columns])


async def audit_export(request: Request, principal: Principal, days: Days, *what: str | None) -> str:
    """Audit the download before the file is sent; returns the file name.

    Uses a connection of the other pool: waiting for a second one of the same pool could deadlock.
    """
    name = file_name(principal.organization, days, *what)
    async with write_as(app_state(request).pool, principal.organization) as session:
        if session.organization_id is not None:  # an unknown organization has no data
            await audit(session, principal, "export", {"file": name, "query": without_people(request.url.query)})
    return name


def without_people(query: str) -> str:
    """The query string without values that may name a person: the audit log is kept longer than names."""
    return re.sub(r"(?<![^&])(actor|label)=[^&]*", r"\1=...", query)


def read_account(request: Request, session: ReadSession, principal: Principal) -> BillingAccount:
    """The billing account and the provider for a file."""
    name, provider = text_cell(session.organization.name), app_state(request).provider_name
    return BillingAccount(principal.organization, name, provider, session.organization.time_zone)


async def read_catalog(session: ReadSession, products: Sequence[Product], today: date) -> Catalog:
    features: dict[str, Features] = {
        product: Features(await select_features(session, product, ALL_KINDS), today) for product in products
    }
    return Catalog(features, await select_agents(session), today)


async def label_months(
    session: ReadSession, series: list[UsedSeries], catalog: Catalog, days: Days
) -> AsyncIterator[tuple[Days, list[Label]]]:
    """Labels month by month, so that Postgres sorts in memory and the first lines are sent early."""
    await prepare_copy(session)
    for month in months_of(days, await select_days(session)):
        used = await select_used_series(session, month)
        yield month, build_labels((each for each in series if each.series_id in used), month, catalog)
