"""GET /api/v1/usage/runs and /api/v1/usage/runs/{run_id}: what conversations, workflow runs and traces cost."""

import re
from typing import Annotated, get_args

from fastapi import APIRouter, Path, Query, Request
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.events import PRODUCTS, FeatureKind
from flexcredits_schemas.identity import run_identity_of

from query_api.access.dependencies import SlowReadAccess, UsageAccess
from query_api.access.state import app_state
from query_api.actors.queries import select_who
from query_api.calendar import today_in
from query_api.contracts.range import choose_days
from query_api.db.session import ReadSession
from query_api.freshness.queries import select_watermark
from query_api.http.fields import date_range
from query_api.http.problems import ApiProblem, invalid_parameter
from query_api.runs.answers import answer_agents, answer_link, answer_parent, answer_row, answer_use
from query_api.runs.domain.cursors import (
    BEFORE_ALL_USES,
    InvalidPosition,
    read_run_position,
    read_use_position,
    write_run_position,
    write_use_position,
)
from query_api.runs.domain.model import RunRecord
from query_api.runs.filters import read_filter
from query_api.runs.queries import select_child_runs, select_run, select_run_uses, select_runs, sum_runs_by_agent
from query_api.runs.schemas import Rest, Run, RunQuery, Runs, RunsQuery
from query_api.usage.domain.catalog import Features
from query_api.usage.queries import select_agents, select_features

router = APIRouter(prefix="/api/v1/usage")

AGENTS_LISTED = 100
CHILDREN_LISTED = 100
_KEY = re.compile("[0-9a-f]{32}")
CURSOR = "must be `next` of a previous response"


@router.get("/runs")
async def get_runs(request: Request, session: SlowReadAccess, query: Annotated[RunsQuery, Query()]) -> Runs:
    """Runs of a range, highest credits first, and how much a run of each agent costs. Usage without a run is not in it."""
    app, zone = app_state(request), session.organization.time_zone
    try:
        after = None if query.cursor is None else read_run_position(query.cursor)
    except InvalidPosition:
        raise invalid_parameter("cursor", CURSOR) from None
    today = today_in(zone, app.now())
    days = await choose_days(session, query, today)
    wanted = await read_filter(session, query, days, today)
    sums = await sum_runs_by_agent(session, wanted)
    rows = await select_runs(session, wanted, after, query.limit + 1)
    page = rows[: query.limit]
    whose = await select_who(session, [(row.attribution_id, local_date(row.first_at, zone)) for row in page])
    agents = await select_agents(session)
    watermark = await select_watermark(session, app.topic)
    await session.finish()
    return Runs(
        range=date_range(*days),
        time_zone=zone,
        runs=sum(each.runs for each in sums),
        credits=sum(each.credits for each in sums),
        events=sum(each.events for each in sums),
        rows=[answer_row(row, who, agents) for row, who in zip(page, whose, strict=True)],
        next=write_run_position(page[-1]) if len(rows) > len(page) else None,
        agents=answer_agents(sums[:AGENTS_LISTED], agents),
        agents_not_listed=max(0, len(sums) - AGENTS_LISTED),
        complete_to=watermark.complete_to,
    )


@router.get("/runs/{run_id:path}")
async def get_run(
    request: Request,
    session: UsageAccess,
    run_id: Annotated[
        str, Path(description="The run's id, percent-encoded, or its `key`.", examples=["conversation-7f3a"])
    ],
    query: Annotated[RunQuery, Query()],
) -> Run:
    """One run: its parent and child runs, and its uses in the order of their times."""
    app, zone = app_state(request), session.organization.time_zone
    try:
        after = BEFORE_ALL_USES if query.cursor is None else read_use_position(query.cursor)
    except InvalidPosition:
        raise invalid_parameter("cursor", CURSOR) from None
    run = await find_run(session, run_id)
    if run is None:
        raise ApiProblem(
            "no-such-run",
            "This organization has no run with this id and counted usage, or it is older than the ledger.",
        )
    uses = await select_run_uses(session, run.run, after, query.limit + 1)
    page = uses[: query.limit]
    [who] = await select_who(session, [(run.attribution_id, local_date(run.first_at, zone))])
    parent = await select_run(session, run_identity_of(run.parent_id)) if run.parent_id else None
    children, number = await select_child_runs(session, run.run_id, CHILDREN_LISTED)
    agents = await select_agents(session)
    used = {use.product for use in page}
    today = today_in(zone, app.now())
    features: dict[str, Features] = {
        product: Features(await select_features(session, product, get_args(FeatureKind)), today)
        for product in PRODUCTS
        if product in used
    }
    watermark = await select_watermark(session, app.topic)
    await session.finish()
    counted = [use for use in page if not use.held]
    return Run(
        **dict(answer_row(run, who, agents)),
        time_zone=zone,
        parent=answer_parent(run.parent_id, parent) if run.parent_id else None,
        children=[answer_link(child) for child in children],
        children_not_listed=number - len(children),
        uses=[answer_use(use, run, agents, features) for use in page],
        rest=Rest(
            credits=run.credits - sum(use.credits + (use.corrected or 0) for use in counted),
            events=run.events - len(counted),
        ),
        next=write_use_position(page[-1]) if len(uses) > len(page) else None,
        complete_to=watermark.complete_to,
    )


async def find_run(session: ReadSession, run_id: str) -> RunRecord | None:
    """By id, else by key."""
    run = await select_run(session, run_identity_of(run_id.encode(errors="replace").decode()))
    if run is None and _KEY.fullmatch(run_id):
        return await select_run(session, bytes.fromhex(run_id))
    return run
