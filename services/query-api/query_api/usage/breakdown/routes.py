"""GET /api/v1/breakdown and /api/v1/deleted-agents: usage tables for any range of days."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.events import PRODUCTS

from query_api.access.dependencies import ReadAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.contracts.range import choose_days, extend_to_months
from query_api.freshness.queries import select_watermark
from query_api.http.fields import DateRange
from query_api.http.problems import invalid_parameter
from query_api.usage.breakdown.compute import compute_breakdown, read_series_usage, sum_product_credits
from query_api.usage.breakdown.domain.cursor import (
    InvalidPosition,
    RowPosition,
    cut_page,
    read_position,
    write_position,
)
from query_api.usage.breakdown.domain.rows import Row, build_rows, change, share
from query_api.usage.breakdown.etag import Tagged
from query_api.usage.breakdown.schemas import (
    Breakdown,
    BreakdownQuery,
    BreakdownRow,
    DeletedAgent,
    DeletedAgents,
    DeletedAgentsQuery,
    ProductShare,
)
from query_api.usage.domain.catalog import FEATURE_KINDS, Features
from query_api.usage.queries import select_agents, select_series, select_used_surfaces
from query_api.usage.views import kinds_of

router = APIRouter(prefix="/api/v1")


@router.get("/breakdown")
async def get_breakdown(
    request: Request, session: ReadAccess, watermark: Tagged, query: Annotated[BreakdownQuery, Query()]
) -> Breakdown:
    """A product's usage by feature, agent or namespace, for any range. Agents have their current name and status."""
    time_zone = session.organization.time_zone
    after = read_after(query.after)
    table = await compute_breakdown(session, query, today_in(time_zone, app_state(request).now()))
    page = cut_page(table.rows, after, query.limit)
    days, before, total, previous = table.days, table.days_before, table.total, table.previous
    by_product = await sum_product_credits(session, extend_to_months(query, days), query.surface)
    return Breakdown(
        product=query.product,
        view=query.view,
        range=DateRange(from_=days.first, to=days.last),
        previous_range=DateRange(from_=before.first, to=before.last) if before else None,
        time_zone=time_zone,
        categories=query.categories,
        group_by=query.group_by,
        total=total,
        events=table.events,
        previous=previous,
        change=change(total, previous or 0),
        rows=answer_rows(page.rows, total, has_previous=before is not None),
        next=write_position(page.place) if page.place else None,
        moved=page.moved,
        surfaces=await select_used_surfaces(session, query.product, kinds_of(query.product, query.view)),
        product_shares=answer_shares(by_product),
        complete_to=watermark.complete_to,
    )


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


def answer_shares(by_product: Mapping[str, int]) -> list[ProductShare]:
    total = sum(by_product.values())
    return [
        ProductShare(product=product, credits=by_product[product], share=share(by_product[product], total))
        for product in PRODUCTS
    ]


def read_after(cursor: str | None) -> RowPosition | None:
    try:
        return None if cursor is None else read_position(cursor)
    except InvalidPosition:
        raise invalid_parameter("after", "must be `next` of a previous response") from None


@router.get("/deleted-agents")
async def get_deleted_agents(
    request: Request, session: ReadAccess, query: Annotated[DeletedAgentsQuery, Query()]
) -> DeletedAgents:
    """The deleted agents that the table of agents combines in one row."""
    app, organization = app_state(request), session.organization
    today = today_in(organization.time_zone, app.now())
    days = await choose_days(session, query, today)
    kinds = FEATURE_KINDS["agents", "agents"]
    series = (await select_series(session, ["agents"], kinds)).of_surfaces(query.surface)
    uses = await read_series_usage(session, series, None, extend_to_months(query, days), None)
    agents = await select_agents(session)
    rows = build_rows("agents", uses, Features([], today), agents)
    total, events, inside = next(
        ((row.credits, row.events, row.rows) for row in rows if row.kind == "deleted"), (0, 0, [])
    )
    watermark = await select_watermark(session, app.topic)
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
