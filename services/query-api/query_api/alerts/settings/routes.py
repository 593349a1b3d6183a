"""GET and PUT /api/v1/alerts/settings, and POST .../preview: thresholds, budget and recipients."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from flexcredits_schemas.credits import decimal_text

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, ReadAccess, WriteAccess
from query_api.access.state import AppState, app_state
from query_api.alerts.settings.domain.preview import would_fire
from query_api.alerts.settings.domain.rules import (
    AlertSettings,
    NewBudget,
    Recipients,
    RuleSettings,
    find_mistakes,
    mail_recipients,
)
from query_api.alerts.settings.domain.rules import RuleProjection as StoredProjection
from query_api.alerts.settings.queries import (
    save_alert_settings,
    select_alert_settings,
    select_role_recipients,
    select_rule_projections,
)
from query_api.alerts.settings.schemas import (
    AdditionalRecipients,
    AlertSettingsRequest,
    AlertSettingsResponse,
    BudgetFiring,
    BudgetPreview,
    ExplainedBudget,
    MonthlyBudgetAlerts,
    Preview,
    PreviewRequest,
    RuleProjection,
    RuleProjections,
    ThresholdProjection,
    UsageAlerts,
    UsageFiring,
    UsagePreview,
    audit_details,
)
from query_api.calendar import Days, month_of, previous_days, span_of, today_in
from query_api.contracts.domain.balance import MonthlyBudget, recommend_budget
from query_api.contracts.period_state import read_period_state
from query_api.contracts.queries import select_credit_periods, select_days, sum_days, sum_products
from query_api.contracts.schemas import answer_credit_period
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem, ParameterError, problems

router = APIRouter(prefix="/api/v1/alerts")

HISTORY_MONTHS = 12
"""Months before the current one in the preview of a budget."""

# Proxies that compress make tags weak. The tag is a version, so weak and strong are equivalent.
_VERSION_TAG = re.compile(r'(?:W/)?"(\d{1,9})"', re.ASCII)

TAGGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {"ETag": {"schema": {"type": "string"}, "description": "The version. Pass it as If-Match to save."}}
    }
}


@router.get("/settings", responses=TAGGED)
async def get_alert_settings(request: Request, response: Response, session: ReadAccess) -> AlertSettingsResponse:
    """Alert settings, with a recommended budget, this month's usage, and recipients by role."""
    return await answer_settings(app_state(request), session, response)


@router.put("/settings", responses=TAGGED | problems(412, 428))
async def put_alert_settings(
    request: Request,
    response: Response,
    principal: CurrentUser,
    session: WriteAccess,
    asked: AlertSettingsRequest,
    if_match: Annotated[str | None, Header(description="ETag of the settings to change.", examples=['"3"'])] = None,
) -> AlertSettingsResponse:
    """Save all settings, unless they were changed since they were read."""
    app, organization = app_state(request), session.organization
    before = await select_alert_settings(session)
    usage, budget = asked.usage.read().filled_from(before.usage), asked.monthly_budget.read()
    budget = budget._replace(rule=budget.rule.filled_from(before.budget))
    check(usage, budget)
    if if_match is None:
        raise ApiProblem(
            "precondition-required", 'Send the ETag of the settings as `If-Match`, such as `If-Match: "3"`.'
        )
    month = month_of(today_in(organization.time_zone, app.now())).first
    after = before.changed_to(usage, budget, month)
    who = principal.email or principal.subject
    if str(before.version) not in _VERSION_TAG.findall(if_match) or not await save_alert_settings(session, after, who):
        raise changed_meanwhile(await select_alert_settings(session))
    saved = await select_alert_settings(session)
    changes = {"before": audit_details(before), "after": audit_details(saved)}
    await audit(session, principal, "alert_settings.save", changes)
    return await answer_settings(app, session, response)


def check(usage: RuleSettings | None, budget: NewBudget | None) -> None:
    """Raises ApiProblem with all mistakes."""
    mistakes = find_mistakes(usage, budget)
    if mistakes:
        detail = "; ".join(f"{mistake.pointer}: {mistake.detail}" for mistake in mistakes)
        errors = [ParameterError(pointer=mistake.pointer, detail=mistake.detail) for mistake in mistakes]
        raise ApiProblem("invalid-parameter", detail, errors=errors)


def changed_meanwhile(current: AlertSettings) -> ApiProblem:
    if current.updated_at is None:
        return ApiProblem("changed-meanwhile", "Nothing was saved yet: start from version 0.", current_version=0)
    return ApiProblem(
        "changed-meanwhile",
        f"{current.updated_by} saved version {current.version} at {current.updated_at:%Y-%m-%d %H:%M} UTC. "
        "Reload, then change that version.",
        current_version=current.version,
        updated_by=current.updated_by,
        updated_at=current.updated_at,
    )


async def answer_settings(app: AppState, session: ReadSession, response: Response) -> AlertSettingsResponse:
    settings, today = await select_alert_settings(session), today_in(session.organization.time_zone, app.now())
    period, period_state = await read_period_state(session, today)
    stored, month = await select_rule_projections(session), month_of(today)
    recommended = recommend_budget(period, period_state.remaining, today)
    response.headers["ETag"] = f'"{settings.version}"'
    response.headers["Cache-Control"] = "no-store"  # the tag does not cover the figures, which change without a save
    return AlertSettingsResponse(
        version=settings.version,
        updated_at=settings.updated_at,
        updated_by=settings.updated_by or None,
        usage=UsageAlerts(
            thresholds=list(settings.usage.thresholds),
            projected_thresholds=list(settings.usage.projected or ()),
            additional_recipients=answer_recipients(settings.usage.recipients),
        ),
        monthly_budget=await answer_budget(session, settings, month),
        projections=RuleProjections(
            usage=answer_projection(settings.usage, stored.get("usage"), period.key if period else None),
            monthly_budget=answer_projection(
                settings.budget if settings.budget_in(month.first) else RuleSettings(),
                stored.get("budget"),
                ("", f"{month.first:%Y-%m}"),
            ),
        ),
        recommended_monthly_budget=explain(recommended) if recommended else None,
        role_recipients=await select_role_recipients(session, app.billing_moderator_enabled),
    )


def answer_recipients(recipients: Recipients) -> AdditionalRecipients:
    return AdditionalRecipients(enabled=recipients.is_on, addresses=list(recipients.addresses))


def answer_projection(
    rule: RuleSettings, stored: StoredProjection | None, period: tuple[str, str] | None
) -> RuleProjection | None:
    """None if the last projection is not of this period."""
    if not rule.projected or stored is None or (stored.contract_id, stored.period_id) != period:
        return None
    marks = [(threshold, stored.passed_on[threshold]) for threshold in rule.projected if threshold in stored.passed_on]
    return RuleProjection(
        on=stored.day,
        thresholds=[ThresholdProjection(threshold=threshold, **dates._asdict()) for threshold, dates in marks],
        refusal=stored.detail,
    )


async def answer_budget(session: ReadSession, settings: AlertSettings, month: Days) -> MonthlyBudgetAlerts:
    budget = settings.budget_in(month.first)
    (used,) = await sum_products(session, month)
    return MonthlyBudgetAlerts(
        enabled=budget is not None,
        type=budget.kind if budget else "recurring",
        credits=budget.credits if budget else None,
        month=f"{budget.month:%Y-%m}" if budget and budget.month else None,
        resumes=budget.resumes if budget else None,
        thresholds=list(settings.budget.thresholds),
        projected_thresholds=list(settings.budget.projected or ()),
        additional_recipients=answer_recipients(settings.budget.recipients),
        used_this_month=sum(used.values()),
    )


def explain(budget: MonthlyBudget) -> ExplainedBudget:
    months = f"{budget.remaining_months} month{'s' if budget.remaining_months > 1 else ''}"
    return ExplainedBudget(
        **budget._asdict(),
        explanation=f"{decimal_text(budget.remaining_credits)} remaining credits / {months} that remain of the credit "
        "period; the current month counts as one.",
    )


@router.post("/preview")
async def preview_alerts(request: Request, session: ReadAccess, asked: PreviewRequest) -> Preview:
    """When these settings would have fired over the organization's history, and the recipients. Saves nothing."""
    app = app_state(request)
    usage = asked.usage.read() if asked.usage else None
    budget = asked.monthly_budget.read() if asked.monthly_budget else None
    check(usage, budget)
    role_holders = await select_role_recipients(session, app.billing_moderator_enabled)
    today = today_in(session.organization.time_zone, app.now())
    return Preview(
        usage=await preview_usage(session, usage, role_holders) if usage else None,
        monthly_budget=await preview_budget(session, budget, today, role_holders) if budget else None,
    )


async def preview_usage(session: ReadSession, usage: RuleSettings, role_holders: Sequence[str]) -> UsagePreview:
    used = await select_days(session)
    by_day = await sum_days(session, used) if used else {}
    return UsagePreview(
        firings=[
            UsageFiring(
                **firing._asdict(),
                credit_period=answer_credit_period(period),
                available=period.available,
            )
            for period in await select_credit_periods(session)
            for firing in would_fire(by_day, period.span, period.available, usage.thresholds)
        ],
        recipients=mail_recipients(role_holders, usage.recipients),
    )


async def preview_budget(
    session: ReadSession, budget: NewBudget, today: date, role_holders: Sequence[str]
) -> BudgetPreview:
    months = [month_of(today)]
    while len(months) <= HISTORY_MONTHS and (before := previous_days(months[-1], are_months=True)):
        months.append(before)
    by_day = await sum_days(session, Days(months[-1].first, months[0].last))
    credits = budget.credits if budget.enabled else None
    return BudgetPreview(
        firings=[
            BudgetFiring(**firing._asdict(), month=f"{month.first:%Y-%m}", budget=credits)
            for month in reversed(months)
            for firing in would_fire(by_day, span_of(month), credits, budget.rule.thresholds)
        ],
        recipients=mail_recipients(role_holders, budget.rule.recipients),
    )
