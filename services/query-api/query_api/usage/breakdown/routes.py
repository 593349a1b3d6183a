"""GET /api/v1/breakdown and /api/v1/deleted-agents: the tables of what was used, of any days."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.dependencies import Look, parts_of
from query_api.contracts.domain.periods import (
    Days,
    comparable,
    days_of,
    period_before,
    previous_days,
    split_at,
    today_in,
    with_whole_months,
)
from query_api.contracts.range import RangeQuery, choose_days, choose_period, invalid_parameter
from query_api.db.session import Reading
from query_api.http.fields import DateRange
from query_api.usage.breakdown.domain.cursor import InvalidCursor, Place, cut_page, read_place, write_place
from query_api.usage.breakdown.domain.rows import (
    FEATURE_KINDS,
    WITH_AGENTS,
    WITH_CATEGORIES,
    Categories,
    Features,
    Row,
    Use,
    View,
    build_rows,
    change,
    share,
)
from query_api.usage.breakdown.schemas import Breakdown, BreakdownRow, DeletedAgent, DeletedAgents, ProductShare
from query_api.usage.queries import PickedSeries

router = APIRouter(prefix="/api/v1")

SURFACE = "Only usage of these surfaces; may be given several times. Empty: usage that named none."


class BreakdownQuery(RangeQuery):
    product: Product
    view: View = Field(
        description="assistant: models, tools, other_features. agents: agents, features. api: namespaces."
    )
    surface: list[str] | SkipJsonSchema[None] = Field(None, description=SURFACE)
    group_by: Literal["surface"] | None = None
    categories: Categories = Field("then", description="Those in force when it was used, or today's for all usage.")
    limit: int | None = Field(None, ge=1, le=1000, description="Rows at the top level; by default all.")
    after: str | None = Field(None, description="`next` of a previous answer: go on where that one ended.")


@router.get("/breakdown")
async def get_breakdown(request: Request, reading: Look, query: Annotated[BreakdownQuery, Query()]) -> Breakdown:
    """What a product's usage consists of, over any days. Agents appear as they are now."""
    parts, organization = parts_of(request), reading.organization
    kinds = kinds_of(query.product, query.view)
    after = read_after(query.after)
    today = today_in(organization.time_zone, parts.now())
    days = await choose_days(reading, query, today)
    before = await choose_previous(reading, query, days, today)
    features = Features(await reading.select_features(query.product, kinds), today, query.categories)
    series = await reading.select_series([query.product], kinds)
    # Nothing was used outside of all time, so that its first and last month can be read whole.
    to_read = with_whole_months(days) if query.range == "all" else days
    by_surface = query.group_by == "surface"
    used = await read_uses(
        reading, series.of_surfaces(query.surface), features if query.view in WITH_CATEGORIES else None, to_read, before,
        by_surface=by_surface,
    )  # fmt: skip
    uses, uses_before = (
        [use for use in used if use.day >= to_read.first],
        [use for use in used if use.day < to_read.first],
    )
    agents = await reading.select_agents() if query.view in WITH_AGENTS else {}
    rows = build_rows(query.view, uses, features, agents, uses_before, by_surface=by_surface)
    page = cut_page(rows, after, query.limit)
    total, previous = sum(row.credits for row in rows), sum(row.previous for row in rows) if before else None
    watermark = await reading.select_watermark(parts.topic)
    return Breakdown(
        product=query.product,
        view=query.view,
        range=DateRange(from_=days.first, to=days.last),
        previous_range=DateRange(from_=before.first, to=before.last) if before else None,
        time_zone=organization.time_zone,
        categories=query.categories,
        group_by=query.group_by,
        total=total,
        events=sum(row.events for row in rows),
        previous=previous,
        change=change(total, previous or 0),
        rows=answer_rows(page.rows, total, has_previous=before is not None),
        next=write_place(page.place) if page.place else None,
        moved=page.moved,
        surfaces=await reading.select_used_surfaces(query.product, kinds),
        product_shares=await read_product_shares(reading, to_read, query.surface),
        complete_to=watermark.complete_to,
    )


def kinds_of(product: Product, view: View) -> tuple[FeatureKind, ...]:
    """The kinds of feature that a product's view shows. Raises Refused."""
    kinds = FEATURE_KINDS.get((product, view))
    if kinds is None:
        views = ", ".join(view for its_product, view in FEATURE_KINDS if its_product == product)
        raise invalid_parameter("view", f"the views of product `{product}` are: {views}")
    return kinds


def answer_rows(rows: Sequence[Row], total: int, *, has_previous: bool) -> list[BreakdownRow]:
    return [
        BreakdownRow(
            row.kind,
            row.id,
            row.name,
            row.credits,
            row.events,
            share(row.credits, total),
            row.previous if has_previous else None,
            change(row.credits, row.previous),
            answer_rows(row.rows, total, has_previous=has_previous),
        )
        for row in rows
    ]


def read_after(cursor: str | None) -> Place | None:
    try:
        return None if cursor is None else read_place(cursor)
    except InvalidCursor:
        raise invalid_parameter("after", "must be `next` of a previous answer") from None


async def choose_previous(reading: Reading, query: RangeQuery, days: Days, today: date) -> Days | None:
    """The range directly before, of the same kind; of a running range as many of its days. None if there is none."""
    before = await choose_whole_previous(reading, query, days, today)
    return comparable(before, days, today) if before else None


async def choose_whole_previous(reading: Reading, query: RangeQuery, days: Days, today: date) -> Days | None:
    if query.range == "all":
        return None
    if query.from_ is not None:
        return previous_days(days, are_months=len(query.from_) == len("2026-09"))
    periods = await reading.select_credit_periods()
    period = choose_period(periods, query.credit_period or "current", today)
    if period is None:  # without a current credit period, the range is this month
        return previous_days(days, are_months=True)
    before = period_before(periods, period)
    return days_of(before.span) if before else None


async def read_uses(
    reading: Reading, series: PickedSeries, features: Features | None, days: Days, before: Days | None,
    *, by_surface: bool = False,
) -> list[Use]:  # fmt: skip
    """Sums of series over `days`, and over the earlier days `before`; with features, apart for each category."""
    ranges = [before, days] if before else [days]
    # Features that stay in their category are added up as one; the others apart for every stretch between two changes.
    changing, constant = series.divide(features.changing(ranges[0].first, days.last) if features else set())
    cuts = features.changes() if features else []
    parts = [part for whole in ranges for part in split_at(whole, cuts)]
    uses = await reading.sum_uses(constant, ranges, by_surface=by_surface)
    return uses + await reading.sum_uses(changing, parts, by_surface=by_surface)


async def read_product_shares(reading: Reading, days: Days, surfaces: Collection[str] | None) -> list[ProductShare]:
    used: dict[str, int] = dict.fromkeys(PRODUCTS, 0)
    if surfaces is None:
        [used] = await reading.sum_products(days)
    else:
        series = (await reading.select_series(PRODUCTS, get_args(FeatureKind))).of_surfaces(surfaces)
        groups = {series_id: PRODUCTS.index(one.product) for series_id, one in series.by_id.items()}
        for _, number, credits, _ in await reading.sum_groups(series, groups, [days]):
            used[PRODUCTS[number]] = credits
    total = sum(used.values())
    return [
        ProductShare(product=product, credits=used[product], share=share(used[product], total)) for product in PRODUCTS
    ]


class DeletedAgentsQuery(RangeQuery):
    surface: list[str] | SkipJsonSchema[None] = Field(None, description=SURFACE)


@router.get("/deleted-agents")
async def get_deleted_agents(
    request: Request, reading: Look, query: Annotated[DeletedAgentsQuery, Query()]
) -> DeletedAgents:
    """The agents that the agents' table shows as one row, because they no longer exist."""
    parts, organization = parts_of(request), reading.organization
    today = today_in(organization.time_zone, parts.now())
    days = await choose_days(reading, query, today)
    kinds = FEATURE_KINDS["agents", "agents"]
    series = (await reading.select_series(["agents"], kinds)).of_surfaces(query.surface)
    uses = await read_uses(reading, series, None, with_whole_months(days) if query.range == "all" else days, None)
    agents = await reading.select_agents()
    rows = build_rows("agents", uses, Features([], today), agents)
    total, events, inside = next(
        ((row.credits, row.events, row.rows) for row in rows if row.kind == "deleted"), (0, 0, [])
    )
    watermark = await reading.select_watermark(parts.topic)
    return DeletedAgents(
        range=DateRange(from_=days.first, to=days.last),
        time_zone=organization.time_zone,
        total=total,
        events=events,
        agents=[
            DeletedAgent(
                id=row.id,
                name=row.name,
                deleted_at=agents[row.id].deleted_at,
                credits=row.credits,
                events=row.events,
                share=share(row.credits, total),
            )
            for row in inside
        ],
        complete_to=watermark.complete_to,
    )
