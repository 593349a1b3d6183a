"""GET /api/v1/me/usage: what the signed-in person used."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar, get_args

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.calendar import midnight
from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.access.dependencies import CurrentUser, OwnAccess
from query_api.access.state import app_state
from query_api.auth.principal import Principal
from query_api.calendar import Days, span_of, today_in
from query_api.contracts.queries import select_days
from query_api.contracts.range import RangeQuery, choose_range
from query_api.db.session import ReadSession
from query_api.http.fields import date_range
from query_api.my_usage.queries import (
    OwnUsage,
    select_own_attributions,
    select_own_runs,
    sum_own_usage,
    sum_own_uses,
)
from query_api.my_usage.schemas import MyAgent, MyDay, MyFeature, MyProduct, MyRun, MyUsage
from query_api.usage.domain.catalog import Agent, Feature, Features, agent_as_now, id_of
from query_api.usage.queries import select_agents, select_features

router = APIRouter(prefix="/api/v1/me")

RUNS_LISTED = 50
USES_READ = 50_000
"""Uses of runs that are read to separate the person's from those of others: some 0.1 s."""

KeyT = TypeVar("KeyT", bound=Hashable)


@router.get("/usage")
async def get_my_usage(
    request: Request, session: OwnAccess, principal: CurrentUser, query: Annotated[RangeQuery, Query()]
) -> MyUsage:
    """The usage of the signed-in person, and nothing of others. Roles that do not see the dashboard see it, too.

    An actor is this person if its id is the `sub` or the address of the token, or if the directory has this address for it.
    Addresses are compared without case. An address counts only with the claim `email_verified`: elsewhere its owner may be
    another person.
    """
    zone = session.organization.time_zone
    today = today_in(zone, app_state(request).now())
    days = (await choose_range(session, query, today, names_periods=False)).days
    email = principal.email if principal.is_email_verified and principal.email else None
    own = await select_own_attributions(session, principal.subject, email)
    attributions = [each.attribution_id for each in own]
    used = await read_usage(session, days, attributions)
    agents = await select_agents(session) if own else {}
    runs = await read_runs(session, days, attributions, agents) if own else []
    features = {
        product: Features(await select_features(session, product, get_args(FeatureKind)), today)
        for product in sorted({use.product for use in used})
    }
    await session.finish()
    if query.range == "all":  # the organization's first day is not the person's to know
        used_on = [today, *(use.day for use in used)]
        days = Days(min(used_on), max(used_on))
    by_product = sums_by((use.product, use) for use in used)
    by_feature = sums_by(((use.product, Feature(use.feature_kind, use.feature)), use) for use in used)
    by_agent = sums_by((use.agent_id, use) for use in used if use.agent_id)
    return MyUsage(
        range=date_range(*days),
        time_zone=zone,
        ids=sorted({each.actor_id for each in own}),
        note=None if used else explain(principal, email, is_known=bool(own)),
        credits=sum(use.credits for use in used),
        events=sum(use.events for use in used),
        products=[
            MyProduct(product=product, credits=by_product[product][0], events=by_product[product][1])
            for product in PRODUCTS
        ],
        features=[
            MyFeature(
                product=product, feature_kind=feature.feature_kind, feature=id_of(feature.feature),
                name=features[product].name(feature), credits=credits, events=events,
            )
            for (product, feature), (credits, events) in highest_first(by_feature)
        ],
        agents=[
            MyAgent(
                id=id_of(agent_id), name=agent_as_now(agent_id, agents).name, status=agent_as_now(agent_id, agents).status,
                credits=credits, events=events,
            )
            for agent_id, (credits, events) in highest_first(by_agent)
        ],
        days=[
            MyDay(day=day, credits=credits, events=events)
            for day, (credits, events) in sorted(sums_by((use.day, use) for use in used).items())
        ],
        runs=runs,
    )  # fmt: skip


async def read_usage(session: ReadSession, days: Days, attributions: list[int]) -> list[OwnUsage]:
    """Usage on the days. Days before the organization's first usage and after its last are not read."""
    known = await select_days(session) if attributions else None
    if known is None or known.last < days.first or days.last < known.first:
        return []
    return await sum_own_usage(session, Days(max(days.first, known.first), min(days.last, known.last)), attributions)


async def read_runs(session: ReadSession, days: Days, attributions: list[int], agents: dict[str, Agent]) -> list[MyRun]:
    """The latest runs that the person began, with the person's own uses only."""
    zone, span = session.organization.time_zone, span_of(days)
    from_at, until_at = midnight(span.starts_on, zone), midnight(span.ends_on, zone)
    begun, uses = [], 0
    for run in await select_own_runs(session, from_at, until_at, attributions, RUNS_LISTED):
        if uses + run.events <= USES_READ:  # a run of many others' uses hides no other run
            uses += run.events
            begun.append(run)
    own = await sum_own_uses(session, [run.run for run in begun], attributions)
    return [
        MyRun(
            id=run.run_id, key=run.run.hex, agent=agent_as_now(run.agent_id, agents).name or None, first_at=uses_of.first_at,
            last_at=uses_of.last_at, credits=uses_of.credits, events=uses_of.events,
        )
        for run in begun
        if (uses_of := own.get(run.run))
    ]  # fmt: skip


def explain(principal: Principal, email: str | None, *, is_known: bool) -> str:
    """Why there is no usage."""
    if is_known:
        return "You used no credits in this range."
    names = f"`{principal.subject}`" + (f" or `{email}`" if email else "")
    detail = f"No usage is recorded for you. Products record it by the id of the person, and yours is {names}."
    if principal.email and not email:
        detail += " Your address is not used, because the identity provider does not say that it is verified."
    return detail


def sums_by(used: Iterable[tuple[KeyT, OwnUsage]]) -> dict[KeyT, tuple[int, int]]:
    """Credits and events by key; (0, 0) for others."""
    sums: dict[KeyT, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for key, use in used:
        credits, events = sums[key]
        sums[key] = credits + use.credits, events + use.events
    return sums


def highest_first(sums: dict[KeyT, tuple[int, int]]) -> list[tuple[KeyT, tuple[int, int]]]:
    """Highest credits first, then by key."""
    return sorted(sums.items(), key=lambda each: (-each[1][0], each[0]))
