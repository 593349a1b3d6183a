"""The overview, for its route and for live updates."""

from query_api.access.state import AppState
from query_api.calendar import days_of, elapsed_share, today_in
from query_api.contracts.domain.balance import period_state, recommend_budget
from query_api.contracts.domain.periods import Contract, CreditPeriod, contract_of, contract_on, gap_around, period_on
from query_api.contracts.queries import select_contracts, select_credit_periods
from query_api.contracts.schemas import AccountTeam, ProductCredits, answer_credit_period, answer_period
from query_api.db.session import ReadSession
from query_api.overview.schemas import Overview, RecommendedBudget
from query_api.usage.product_days import sum_products
from query_api.usage.versions import UsageVersion, select_usage_version


async def compute_overview(app: AppState, session: ReadSession) -> Overview:
    organization, now = session.organization, app.now()
    today = today_in(organization.time_zone, now)
    version = await select_usage_version(session, app.topic, with_names=False)
    contracts, periods = await read_contracts(app, session, version)
    contract, period = contract_on(contracts, today), period_on(periods, today)
    span = period.span if period else gap_around(periods, today)
    in_period, in_contract = await sum_products(
        session, app.cache, version, days_of(span), days_of(contract.span if contract else span)
    )
    current = period_state(period, in_period)
    budget, in_charge = recommend_budget(period, current.remaining, today), contract_of(contracts, period, today)
    team = in_charge.terms.account_team if in_charge and current.is_over else None
    return Overview(
        credits_used=current.used,
        credits_available=current.available,
        remaining=current.remaining,
        overage=current.overage if contracts or period else 0,
        percent_used=current.percent_used,
        contract_period_used=sum(in_contract.values()) if contract else None,
        products=[ProductCredits.model_validate(product) for product in current.products],
        credit_period=answer_credit_period(period) if period else None,
        contract_period=answer_period(contract.contract_id, contract.span) if contract else None,
        period_elapsed=elapsed_share(period.span, organization.time_zone, now)
        if period and period.span.has_end
        else None,
        recommended_monthly_budget=RecommendedBudget.model_validate(budget) if budget else None,
        unallocated=period.unallocated if period else None,
        add_ons=period.add_ons or 0 if period else None,
        account_team=AccountTeam.model_validate(team) if team else None,
        time_zone=organization.time_zone,
        complete_to=version.watermark.complete_to,
        updated_at=version.watermark.updated_at,
    )


async def read_contracts(
    app: AppState, session: ReadSession, version: UsageVersion
) -> tuple[list[Contract], list[CreditPeriod]]:
    """The organization's contracts and credit periods, read again only if a contract or the time zone changed."""
    key, its_version = ("contracts", session.organization_id), (version.contracts, session.organization.time_zone)
    kept: tuple[list[Contract], list[CreditPeriod]] | None = app.cache.get(key, its_version)
    if kept is None:
        kept = await select_contracts(session), await select_credit_periods(session)
        app.cache.put(key, its_version, kept, 1_000 * (1 + len(kept[0])) + 300 * len(kept[1]))
    return kept
