"""Computes the answer: used and available credits, their projection or why there is none, and the glide path."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from flexcredits_schemas.calendar import midnight
from flexcredits_schemas.projection.history import complete_until, days_in_a_row, elapsed_part, seed_of
from flexcredits_schemas.projection.refusals import describe_missing_days
from runtime.forecast.model import Amounts, Projection, Refusal
from runtime.forecast.project import DAYS_MAX, Outlook, foresee, project_outlook

from query_api.access.state import AppState
from query_api.calendar import Span, elapsed_share, month_of, today_in
from query_api.contracts.domain.balance import recommend_budget
from query_api.contracts.domain.periods import CreditPeriod
from query_api.contracts.domain.terms import state_of
from query_api.contracts.range import choose_period, no_such_period
from query_api.contracts.schemas import answer_credit_period
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.http.fields import date_range
from query_api.overview.overview import read_contracts
from query_api.overview.schemas import RecommendedBudget
from query_api.projection.domain.plan import exhausted_on, glide_path, tenths_ahead
from query_api.projection.schemas import (
    GlidePathResponse,
    MonthBudget,
    ProjectedCredits,
    ProjectedDates,
    ProjectedPeriod,
    ProjectionBand,
    ProjectionQuery,
    ProjectionRefusal,
    ProjectionResponse,
)
from query_api.projection.usage import ScopeUsage, read_quarters, read_scope, read_why_not_counted
from query_api.turns import compute_long
from query_api.usage.versions import UsageVersion, select_usage_version

ENDLESS_DAYS = 366
"""A credit period without an end is projected for a year."""
OUTLOOK_BYTES = 15_000
"""Of a kept outlook, besides its arrays; most are the known days."""


async def compute_projection(
    app: AppState, session: ReadSession, name: str, query: ProjectionQuery
) -> ProjectionResponse:
    """`name` is the organization's. Raises ApiProblem."""
    organization = session.organization
    today = today_in(organization.time_zone, app.now())
    version = await select_usage_version(session, app.topic, with_names=False)
    _, periods = await read_contracts(app, session, version)
    period = choose_period(periods, query.credit_period or "current", today)
    if period is None:
        if query.credit_period is not None:
            raise no_such_period(query.credit_period)
        return without_period(session, version, query)
    usage = await read_scope(app, session, version, period, today, query.product, query.agent)
    complete = complete_until(version.watermark.complete_to, organization.time_zone, today)
    refusal = refuse_period(period.span, complete, version, today)
    if refusal is None and (missing := await read_why_not_counted(app, session, version, today)):
        refusal = ProjectionRefusal(reason="usage_not_counted", detail=missing)
    at, elapsed = complete or midnight(today, organization.time_zone), 0.0
    if refusal is None:
        quarters = await read_quarters(app, session, version, today)
        elapsed = elapsed_part(at, today, organization.time_zone, quarters)
    await session.finish()
    projected: Projection | Refusal | ProjectionRefusal
    if refusal is not None:
        projected = refusal
    else:
        first = today - timedelta(days=DAYS_MAX)
        known = Known(
            first, tuple(days_in_a_row(usage.by_day, first, today)),
            period.span.ends_on if period.span.has_end else today + timedelta(days=ENDLESS_DAYS),
            elapsed, seed_of(name, query.product, query.agent, at, organization.time_zone),
        )  # fmt: skip
        key = ("outlook", session.organization_id, period.key, query.product, query.agent)
        outlook = await find_outlook(session.organization_id, app.cache, key, known)
        if isinstance(outlook, Outlook):
            projected = project_outlook(outlook, usage.by_day.get(today, 0), usage.used, usage.remaining)
        else:
            projected = outlook
    return answer(session, query, period, usage, at, today, projected, version.watermark.complete_to)


class Known(NamedTuple):
    """What an outlook is made from."""

    first_day: date
    micro: tuple[int | None, ...]
    until: date
    elapsed: float
    seed: int


async def find_outlook(
    organization_id: int | None, cache: VersionedCache, key: tuple[object, ...], known: Known
) -> Outlook | Refusal:
    """From the days before today, so it is kept while only today's usage is counted."""
    kept: Outlook | None = cache.get(key, known)
    if kept is not None:
        return kept
    # It takes some 15 ms.
    found = await compute_long(
        organization_id,
        foresee,
        known.first_day,
        known.micro,
        until=known.until,
        elapsed=known.elapsed,
        seed=known.seed,
    )
    if isinstance(found, Outlook):  # any text may be asked for as an agent
        cache.put(key, known, found, OUTLOOK_BYTES + found.lines.nbytes + found.ends.nbytes)
    return found


def refuse_period(
    span: Span, complete: datetime | None, version: UsageVersion, today: date
) -> ProjectionRefusal | None:
    state = state_of(*span, today)
    if state == "past":
        return ProjectionRefusal(reason="period_over", detail="The credit period is over.")
    if state == "future":
        return ProjectionRefusal(reason="period_not_begun", detail="The credit period has not begun.")
    if complete is None:
        return ProjectionRefusal(reason="days_missing", detail=describe_missing_days(version.watermark.complete_to))
    return None


def answer(
    session: ReadSession, query: ProjectionQuery, period: CreditPeriod, usage: ScopeUsage, at: datetime, today: date,
    projected: Projection | Refusal | ProjectionRefusal, complete_to: datetime | None,
) -> ProjectionResponse:  # fmt: skip
    span, zone = period.span, session.organization.time_zone
    elapsed = elapsed_share(span, zone, at)
    tenths = tenths_ahead(usage.used, usage.available, span, elapsed) if span.has_end else None
    refusal = projected if isinstance(projected, ProjectionRefusal) else None
    if isinstance(projected, Refusal):
        refusal = ProjectionRefusal(reason=projected.reason, detail=projected.detail)
    return ProjectionResponse(
        product=query.product,
        agent=query.agent,
        credit_period=answer_credit_period(period),
        used=usage.used,
        available=usage.available,
        remaining=usage.remaining,
        exhausted_on=exhausted_on(usage.by_day, usage.available, span) if query.agent is None else None,
        days_ahead=None if tenths is None else tenths / 10,
        projection=answer_projection(projected, span) if isinstance(projected, Projection) else None,
        refusal=refusal,
        glide_path=answer_glide_path(query, period, usage, today),
        time_zone=zone,
        complete_to=complete_to,
    )


def without_period(session: ReadSession, version: UsageVersion, query: ProjectionQuery) -> ProjectionResponse:
    return ProjectionResponse(
        product=query.product, agent=query.agent, credit_period=None, used=0, available=None, remaining=None, exhausted_on=None,
        days_ahead=None, projection=None,
        refusal=ProjectionRefusal(reason="no_credit_period", detail="The organization has no current credit period."),
        glide_path=None, time_zone=session.organization.time_zone, complete_to=version.watermark.complete_to,
    )  # fmt: skip


def answer_projection(projected: Projection, span: Span) -> ProjectedPeriod:
    band = projected.band
    run_out = projected.run_out
    return ProjectedPeriod(
        to=band.first_day + timedelta(days=len(band.p50) - 1),
        end_use=answer_credits(projected.end_use),
        run_out=ProjectedDates(p10=run_out.p10, p50=run_out.p50, p90=run_out.p90) if run_out else None,
        probability_not_in_period=millionths(projected.probability_not_in_period),
        expiring_unused=answer_credits(projected.expiring_unused)
        if projected.expiring_unused and span.has_end
        else None,
        coverage=millionths(projected.coverage),
        origins=projected.origins,
        weeks=projected.weeks,
        band=ProjectionBand(from_=band.first_day, p10=list(band.p10), p50=list(band.p50), p90=list(band.p90)),
    )


def answer_credits(amounts: Amounts) -> ProjectedCredits:
    return ProjectedCredits(p10=amounts.p10, p50=amounts.p50, p90=amounts.p90)


def millionths(share: float | None) -> int | None:
    return None if share is None else round(share * 1_000_000)


def answer_glide_path(
    query: ProjectionQuery, period: CreditPeriod, usage: ScopeUsage, today: date
) -> GlidePathResponse | None:
    before, span = usage.before(today), period.span
    if before.remaining is None or not span.covers(today) or not span.has_end:
        return None
    of_organization = query.product is None
    month = month_of(today)
    used_this_month = sum(credits for day, credits in usage.by_day.items() if month.first <= day < today)
    path = glide_path(before.remaining, used_this_month, today, span)
    formula = recommend_budget(period, usage.remaining, today) if of_organization else None
    return GlidePathResponse(
        remaining_credits=before.remaining,
        remaining_days=path.days,
        per_day=path.per_day,
        months=[MonthBudget(days=date_range(plan.first, plan.last), credits=plan.credits) for plan in path.months],
        monthly_budget=max(0, path.monthly_budget) if of_organization else None,
        recommended_monthly_budget=RecommendedBudget.model_validate(formula) if formula else None,
    )
