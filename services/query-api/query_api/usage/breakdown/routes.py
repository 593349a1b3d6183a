"""GET /api/v1/breakdown and /api/v1/deleted-agents: usage tables for any range of days."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.events import PRODUCTS

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.contracts.range import extend_to_months
from query_api.http.answers import answer_encoded, head_of
from query_api.http.fields import date_range
from query_api.turns import compute
from query_api.usage.breakdown.answers import change_text, read_after
from query_api.usage.breakdown.compute import BreakdownTable, TableUsage, read_breakdown, sum_product_credits
from query_api.usage.breakdown.domain.cursor import Page, RowPosition, cut_page, write_position
from query_api.usage.breakdown.domain.rows import in_order, share
from query_api.usage.breakdown.domain.tree import Row
from query_api.usage.breakdown.etag import Tagged
from query_api.usage.breakdown.names import names_of
from query_api.usage.breakdown.schemas import (
    Breakdown,
    BreakdownQuery,
    BreakdownRow,
    DeletedAgent,
    DeletedAgents,
    DeletedAgentsQuery,
    ProductShare,
)
from query_api.usage.versions import select_usage_version

router = APIRouter(prefix="/api/v1")


@router.get("/breakdown", response_model=Breakdown)
async def get_breakdown(
    request: Request, session: UsageAccess, version: Tagged, query: Annotated[BreakdownQuery, Query()]
) -> Response:
    """A product's usage by feature, agent or namespace, for any range. Agents have their current name and status."""
    app, time_zone, names = app_state(request), session.organization.time_zone, names_of(request)
    after = read_after(query.after)
    used = await read_breakdown(session, names, app.cache, query, today_in(time_zone, app.now()), version)
    by_product = await sum_product_credits(
        session, app.cache, version, extend_to_months(query, used.days), query.surface, used.chosen
    )
    surfaces = await used.names.read_surfaces(session)
    await session.finish()
    key = ("breakdown", session.organization_id, request.url.query)
    its_version = (used.version, time_zone, *by_product.values(), tuple(surfaces))
    head: bytes | None = app.cache.get(key, its_version)
    if head is None:
        head = await compute(
            session.organization_id, used.size, write_breakdown, query, used, after, time_zone, by_product, surfaces
        )
        if used.chosen is None:  # else it depends on people and groups, too
            app.cache.put(key, its_version, head, len(head) + 4 * len(request.url.query) + 1_000)
    return answer_encoded(head, version.watermark.complete_to)


def write_breakdown(
    query: BreakdownQuery, used: TableUsage, after: RowPosition | None, time_zone: str | None,
    by_product: Mapping[str, int], surfaces: list[str],
) -> bytes:  # fmt: skip
    """As head_of()."""
    table = used.compute()
    page = cut_page(table.rows, after, query.limit, in_order)
    return head_of(answer_breakdown(query, table, page, time_zone, by_product, surfaces))


def answer_breakdown(
    query: BreakdownQuery, table: BreakdownTable, page: Page[Row], time_zone: str | None, by_product: Mapping[str, int],
    surfaces: list[str],
) -> Breakdown:  # fmt: skip
    """All but `complete_to`, which changes every second."""
    before, total, previous = table.days_before, table.total, table.previous
    return Breakdown(
        product=query.product,
        view=query.view,
        range=date_range(*table.days),
        previous_range=date_range(*before) if before else None,
        time_zone=time_zone,
        categories=query.categories,
        group_by=query.group_by,
        total=decimal_text(total),
        events=table.events,
        previous=None if previous is None else decimal_text(previous),
        change=change_text(total, previous or 0),
        rows=answer_rows(page.rows, total, has_previous=before is not None),
        next=write_position(page.place) if page.place else None,
        moved=page.moved,
        surfaces=surfaces,
        product_shares=answer_shares(by_product),
        complete_to=None,
    )


def answer_rows(rows: Sequence[Row], total: int, *, has_previous: bool) -> list[BreakdownRow]:
    return [
        BreakdownRow(
            row.kind,
            row.id,
            row.name,
            decimal_text(row.credits),
            row.events,
            decimal_text(share(row.credits, total)),
            decimal_text(row.previous) if has_previous else None,
            change_text(row.credits, row.previous),
            answer_rows(row.rows, total, has_previous=has_previous) if row.rows else [],
        )
        for row in rows
    ]


def answer_shares(by_product: Mapping[str, int]) -> list[ProductShare]:
    total = sum(by_product.values())
    return [
        ProductShare(product, decimal_text(by_product[product]), decimal_text(share(by_product[product], total)))
        for product in PRODUCTS
        if product in by_product
    ]


@router.get("/deleted-agents")
async def get_deleted_agents(
    request: Request, session: UsageAccess, query: Annotated[DeletedAgentsQuery, Query()]
) -> DeletedAgents:
    """The deleted agents that the table of agents combines in one row."""
    app, organization = app_state(request), session.organization
    today = today_in(organization.time_zone, app.now())
    of_agents = BreakdownQuery(product="agents", view="agents", **query.model_dump(by_alias=True))
    version = await select_usage_version(session, app.topic)
    used = await read_breakdown(session, names_of(request), app.cache, of_agents, today, version, with_previous=False)
    await session.finish()
    agents, rows = used.view.agents, (await compute(session.organization_id, used.size, used.compute)).rows
    total, events, inside = next(
        ((row.credits, row.events, row.rows) for row in rows if row.kind == "deleted"), (0, 0, [])
    )
    return DeletedAgents(
        range=date_range(*used.days),
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
        complete_to=version.watermark.complete_to,
    )
