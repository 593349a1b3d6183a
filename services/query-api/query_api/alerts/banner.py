"""Computes the banner, for its routes and for live updates."""

from collections.abc import Collection

from query_api.access.state import AppState
from query_api.alerts.domain.firings import RaisedBanner
from query_api.alerts.queries import select_banner, select_dismissals
from query_api.alerts.schemas import Banner, ProjectedPass
from query_api.calendar import today_in
from query_api.contracts.domain.periods import CreditPeriod
from query_api.contracts.period_state import read_period_state
from query_api.contracts.schemas import ProductCredits, answer_credit_period
from query_api.db.session import ReadSession


async def compute_banner(app: AppState, session: ReadSession) -> tuple[Banner, set[str]]:
    """The banner for people who have not dismissed it, and the subjects of those who have."""
    period, period_state = await read_period_state(session, today_in(session.organization.time_zone, app.now()))
    banner = await select_current_banner(session, period)
    dismissed_by = await select_dismissals(session, banner.firing_id) if banner and banner.firing_id else set()
    return Banner(
        id=str(banner.firing_id) if banner and banner.firing_id else None,
        active=banner is not None,
        dismissed=False,
        kind=banner.kind if banner else None,
        threshold=banner.threshold if banner else None,
        passed_on=ProjectedPass.model_validate(banner) if banner and banner.kind == "projected" else None,
        percent_used=period_state.percent_used,
        fired_at=banner.fired_at if banner else None,
        products_over=[ProductCredits.model_validate(product) for product in period_state.products if product.overage],
        credit_period=answer_credit_period(period) if period else None,
    ), dismissed_by


def show_to(subject: str, banner: Banner, dismissed_by: Collection[str]) -> Banner:
    return banner.model_copy(update={"dismissed": subject in dismissed_by})


async def select_current_banner(session: ReadSession, period: CreditPeriod | None) -> RaisedBanner | None:
    """The banner of the current credit period, or None. The alerter removes an old banner only some time after its period."""
    banner = await select_banner(session)
    return banner if banner and period and (banner.contract_id, banner.period_id) == period.key else None
