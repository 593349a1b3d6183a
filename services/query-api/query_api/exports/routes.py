"""GET /api/v1/export/*: files for spreadsheets and finance tools. Their sums are those of the screen."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from itertools import islice
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.audit import audit
from query_api.access.dependencies import Known, LookToExport, parts_of
from query_api.auth.tokens import Person
from query_api.contracts.domain.periods import Days, today_in
from query_api.contracts.range import RangeQuery, choose_days, invalid_parameter
from query_api.db.session import Reading
from query_api.db.writes import write_as
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
    Account,
    focus_days,
    focus_labels,
    overage_by_day,
    purchase_lines,
)
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.domain.labels import Catalog, Label, UsedSeries, build_labels, label_cells, months_of
from query_api.exports.domain.table import TABLE_COLUMNS, table_lines
from query_api.exports.downloads import FileResponse, Put, file_headers
from query_api.usage.breakdown.domain.rows import Features, View
from query_api.usage.breakdown.routes import BreakdownQuery, get_breakdown, kinds_of

router = APIRouter(prefix="/api/v1/export")

USAGE_COLUMNS = (
    "date", "product", "kind", "category", "category_now", "feature", "feature_name", "agent_id", "agent_name", "agent_status",
    "surface", "line", "credits", "events", "organization_id", "time_zone",
)  # fmt: skip

CORRECTIONS_AT_ONCE = 500
"""Whose lines are made, in some 20 ms, before other requests have their turn."""

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)

A_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file. It is whole if the answer ends as HTTP says; else the connection is cut off.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "date,product,...\r\n2026-11-22,agents,...\r\n"}
        },
    }
}


BOM = Field(False, description="Begin the file with a byte order mark, by which Excel knows that it is UTF-8.")


class UsageQuery(RangeQuery):
    """Which usage, of which days. Without a product, that of all."""

    product: Product | None = None
    view: View | None = Field(None, description="Only the kinds of feature that this view of the product shows.")
    surface: list[str] | SkipJsonSchema[None] = Field(
        None, description="Only these surfaces; may be given several times."
    )
    bom: bool = BOM


class TableQuery(BreakdownQuery):
    bom: bool = BOM


class FocusQuery(RangeQuery):
    bom: bool = BOM


@router.get("/usage.csv", response_class=Response, responses=A_FILE)
async def get_usage_file(
    request: Request, reading: LookToExport, person: Known, query: Annotated[UsageQuery, Query()]
) -> FileResponse:
    """The daily data that the tables are made of. What corrections changed stands on lines of its own, signed.

    Names that a spreadsheet would take for formulas begin with an apostrophe. Ids stay as they are, unless a spreadsheet
    would run them (`=x`, `@SUM(1)`): take one apostrophe away from the front of such a cell, and it is the id.
    """
    today = today_in(reading.organization.time_zone, parts_of(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(reading, query, today)
    series = await reading.select_exported_series(products, kinds, query.surface)
    catalog = await read_catalog(reading, products, today)
    account = await read_account(request, reading, person)

    async def write(put: Put) -> None:
        async def put_lines(data: bytes) -> None:
            await put(end_lines(data))

        await put(begin_file(USAGE_COLUMNS, bom=query.bom))
        async for month, labels in label_months(reading, series, catalog, days):
            await reading.copy_usage([label_cells(label) for label in labels], month, account, put_lines)

    filters = (query.product, query.view, surfaces_in_name(query.surface))
    return FileResponse(write, await sign_out(request, person, days, "usage", *filters))


def choose_products(query: UsageQuery) -> tuple[list[Product], tuple[FeatureKind, ...]]:
    """Products and kinds of feature that a request means. Raises Refused."""
    if query.product is None:
        if query.view is not None:
            raise invalid_parameter("view", "needs a `product`")
        return list(PRODUCTS), ALL_KINDS
    return [query.product], ALL_KINDS if query.view is None else kinds_of(query.product, query.view)


@router.get("/table.csv", response_class=Response, responses=A_FILE)
async def get_table_file(
    request: Request, reading: LookToExport, person: Known, query: Annotated[TableQuery, Query()]
) -> Response:
    """The table as on the screen: every row of `breakdown`, and in is_leaf which of them add up to its total."""
    if query.limit is not None or query.after is not None:
        raise invalid_parameter("limit" if query.after is None else "after", "a file has all rows")
    breakdown = await get_breakdown(request, reading, query)
    days = Days(breakdown.range.from_, breakdown.range.to)
    filters = (
        query.product, query.view, surfaces_in_name(query.surface), query.group_by and "by-surface",
        "categories-of-now" if query.categories == "now" else None,
    )  # fmt: skip
    return Response(
        begin_file(TABLE_COLUMNS, bom=query.bom) + write_lines(table_lines(breakdown.rows)),
        headers=file_headers(await sign_out(request, person, days, "table", *filters)),
    )


@router.get("/focus.csv", response_class=Response, responses=A_FILE)
async def get_focus_file(
    request: Request, reading: LookToExport, person: Known, query: Annotated[FocusQuery, Query()]
) -> FileResponse:
    """The daily data as FOCUS 1.2. Credits are prepaid: what usage beyond the available ones costs is a Purchase.

    A day has the prices that were known on it. What a later version of the contract changed about it is a Correction in the
    month in which that version arrived. `SkuId` always holds the exact id of the feature.
    """
    time_zone = reading.organization.time_zone
    today = today_in(time_zone, parts_of(request).now())
    days = await choose_days(reading, query, today)
    series = await reading.select_exported_series(PRODUCTS, ALL_KINDS, None)
    catalog = await read_catalog(reading, PRODUCTS, today)
    account = await read_account(request, reading, person)
    contracts, periods = await reading.select_contracts(), await reading.select_credit_periods()
    spans = [*(contract.span for contract in contracts), *(period.span for period in periods)]
    begins_on = min((span.starts_on for span in spans), default=days.first)
    used = await reading.sum_days(Days(begins_on, max(begins_on, days.last)))
    overage = overage_by_day(used, periods)

    async def write(put: Put) -> None:
        async def put_lines(data: bytes) -> None:
            await put(end_lines(data))

        await put(begin_file(FOCUS_COLUMNS, bom=query.bom))
        async for month, labels in label_months(reading, series, catalog, days):
            calendar = focus_days(month, time_zone, contracts, periods)
            await reading.copy_focus(focus_labels(labels), calendar, month, account, put_lines)
            if purchases := purchase_lines(calendar, overage, account):
                await put(write_lines(purchases))
        corrections, lines = price_corrections(contracts, periods, used, overage, days), bytearray()
        while some := list(islice(corrections, CORRECTIONS_AT_ONCE)):
            lines += write_lines(correction_lines(some, account))
            await asyncio.sleep(0)
        if lines:
            await put(bytes(lines))

    return FileResponse(write, await sign_out(request, person, days, "focus"))


def begin_file(columns: Sequence[str], *, bom: bool) -> bytes:
    return (BYTE_ORDER_MARK if bom else b"") + write_lines([columns])


async def sign_out(request: Request, person: Person, days: Days, *what: str | None) -> str:
    """Write down who takes which file along, before it is sent; returns its name.

    By a connection of the other pool: a request that waits for a second one of its own pool could wait for itself.
    """
    name = file_name(person.organization, days, *what)
    async with write_as(parts_of(request).pool, person.organization) as writing:
        if writing.organization.organization_id is not None:  # of an unknown organization there is nothing to take
            await audit(writing, person, "export", {"file": name, "query": request.url.query})
    return name


async def read_account(request: Request, reading: Reading, person: Person) -> Account:
    """Whom a file is about, and who sells to them."""
    name, provider = text_cell(await reading.select_name()), parts_of(request).provider_name
    return Account(person.organization, name, provider, reading.organization.time_zone)


async def read_catalog(reading: Reading, products: Sequence[Product], today: date) -> Catalog:
    features: dict[str, Features] = {
        product: Features(await reading.select_features(product, ALL_KINDS), today) for product in products
    }
    return Catalog(features, await reading.select_agents(), today)


async def label_months(
    reading: Reading, series: list[UsedSeries], catalog: Catalog, days: Days
) -> AsyncIterator[tuple[Days, list[Label]]]:
    """Month by month, so that Postgres sorts in memory and the first lines come at once."""
    await reading.prepare_copy()
    for month in months_of(days, await reading.select_days()):
        used = await reading.select_used_series(month)
        yield month, build_labels((each for each in series if each.series_id in used), month, catalog)
