"""The overview, for its route and for live updates."""

from query_api.access.state import AppState
from query_api.calendar import elapsed_share, today_in
from query_api.contracts.domain.balance import recommend_budget
from query_api.contracts.domain.periods import contract_of, contract_on
from query_api.contracts.period_state import read_period_state
from query_api.contracts.queries import select_contracts
from query_api.contracts.schemas import AccountTeam, ProductCredits, answer_credit_period, answer_period
from query_api.db.session import ReadSession
from query_api.freshness.queries import select_watermark
from query_api.overview.schemas import Overview, RecommendedBudget


async def compute_overview(app: AppState, session: ReadSession) -> Overview:
    organization, now = session.organization, app.now()
    today = today_in(organization.time_zone, now)
    contracts = await select_contracts(session)
    contract = contract_on(contracts, today)
    period, current, in_contract = await read_period_state(session, today, contract)
    watermark = await select_watermark(session, app.topic)
    budget, in_charge = recommend_budget(period, current.remaining, today), contract_of(contracts, period, today)
    team = in_charge.terms.account_team if in_charge and current.is_over else None
    return Overview(
        credits_used=current.used,
        credits_available=current.available,
        remaining=current.remaining,
        overage=current.overage if contracts or period else 0,
        percent_used=current.percent_used,
        contract_period_used=in_contract if contract else None,
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
        complete_to=watermark.complete_to,
        updated_at=watermark.updated_at,
    )
