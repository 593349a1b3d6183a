"""Statements about alert settings, and recipients by role. Credits are micro-credits."""

from flexcredits_schemas.alerts import Rule

from query_api.alerts.domain.firings import PassedOn
from query_api.alerts.queries import insert_wakeup
from query_api.alerts.settings.domain.rules import AlertSettings, Recipients, RuleProjection, RuleSettings
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


async def select_alert_settings(session: ReadSession) -> AlertSettings:
    """The saved settings, or the defaults as version 0."""
    row = await session.connection.fetchrow(SQL["select_alert_settings"], session.organization_id)
    if row is None:
        return AlertSettings()  # unknown organization
    return AlertSettings(
        version=row["version"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
        usage=RuleSettings(
            row["usage_thresholds"],
            Recipients(row["usage_recipients_on"], row["usage_recipients"]),
            row["usage_projected_thresholds"],
        ),
        budget=RuleSettings(
            row["budget_thresholds"],
            Recipients(row["budget_recipients_on"], row["budget_recipients"]),
            row["budget_projected_thresholds"],
        ),
        recurring_credits=row["budget_recurring_credits"],
        once_credits=row["budget_once_credits"],
        once_month=row["budget_once_month"],
    )


async def select_role_recipients(session: ReadSession, billing_moderators: bool) -> list[str]:
    """Recipients by role. `billing_moderators`: whether this deployment enables them."""
    rows = await session.connection.fetch(SQL["select_role_recipients"], session.organization_id, billing_moderators)
    return [row["recipient"] for row in rows]


async def lock_alert_settings(session: WriteSession) -> None:
    """Lock the saved settings until the transaction ends. Does nothing before the first save."""
    await session.connection.execute(SQL["lock_alert_settings"], session.organization_id)


async def save_alert_settings(session: WriteSession, settings: AlertSettings, updated_by: str) -> bool:
    """Save the next version and wake the alerter. False if the settings were changed since they were read."""
    usage, budget = settings.usage, settings.budget
    version = await session.connection.fetchval(
        SQL["save_alert_settings"], session.organization_id, settings.version, updated_by,
        usage.thresholds, usage.recipients.is_on, usage.recipients.addresses,
        budget.thresholds, budget.recipients.is_on, budget.recipients.addresses,
        settings.recurring_credits, settings.once_credits, settings.once_month, usage.projected, budget.projected,
    )  # fmt: skip
    if version is not None:
        await insert_wakeup(session)
    return version is not None


async def select_rule_projections(session: ReadSession) -> dict[Rule, RuleProjection]:
    """The last projections that the alerter has stored, by rule."""
    found: dict[Rule, RuleProjection] = {}
    for row in await session.connection.fetch(SQL["select_rule_projections"], session.organization_id):
        columns = zip(row["thresholds"], row["p10"], row["p50"], row["p90"], strict=False)
        found[row["rule"]] = RuleProjection(
            contract_id=row["contract_id"],
            period_id=row["period_id"],
            day=row["day"],
            passed_on={threshold: PassedOn(*dates) for threshold, *dates in columns},
            refusal=row["refusal"],
            detail=row["detail"],
        )
    return found
