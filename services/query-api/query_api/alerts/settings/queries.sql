-- name: select_alert_settings
-- The saved settings or, as version 0, the defaults.
SELECT CASE WHEN organization_id = 0 THEN 0 ELSE version END AS version, CASE WHEN organization_id > 0 THEN updated_at END AS updated_at,
    updated_by, usage_thresholds, usage_recipients_on, usage_recipients, budget_thresholds, budget_recipients_on, budget_recipients,
    budget_recurring_credits, budget_once_credits, budget_once_month, usage_projected_thresholds, budget_projected_thresholds
FROM alert_settings WHERE organization_id IN (0, $1) ORDER BY organization_id DESC LIMIT 1

-- name: select_role_recipients
-- Recipients by role: members who may read the dashboard.
-- $2: whether this deployment enables Billing Moderators.
SELECT DISTINCT lower(m.email) AS recipient FROM members m JOIN organizations o USING (organization_id)
WHERE m.organization_id = $1 AND NOT m.removed
    AND (m.role IN ('super_admin', 'admin') OR (m.role = 'billing_moderator' AND o.billing_moderator_enabled AND $2))
ORDER BY 1

-- name: lock_alert_settings
-- Lock the saved settings until the transaction ends. No row before the first save.
SELECT version FROM alert_settings WHERE organization_id = $1 FOR UPDATE

-- name: save_alert_settings
-- Save the settings if version $2 is still current (0: not saved yet). No row otherwise.
INSERT INTO alert_settings AS saved (organization_id, updated_by, usage_thresholds, usage_recipients_on, usage_recipients,
    budget_thresholds, budget_recipients_on, budget_recipients, budget_recurring_credits, budget_once_credits, budget_once_month,
    usage_projected_thresholds, budget_projected_thresholds)
VALUES ($1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (organization_id) DO UPDATE SET version = saved.version + 1, updated_at = now(), updated_by = excluded.updated_by,
    usage_thresholds = excluded.usage_thresholds, usage_recipients_on = excluded.usage_recipients_on,
    usage_recipients = excluded.usage_recipients, budget_thresholds = excluded.budget_thresholds,
    budget_recipients_on = excluded.budget_recipients_on, budget_recipients = excluded.budget_recipients,
    budget_recurring_credits = excluded.budget_recurring_credits, budget_once_credits = excluded.budget_once_credits,
    budget_once_month = excluded.budget_once_month, usage_projected_thresholds = excluded.usage_projected_thresholds,
    budget_projected_thresholds = excluded.budget_projected_thresholds
WHERE saved.version = $2
RETURNING version

-- name: select_rule_projections
-- The last projection of each rule's period.
SELECT rule, contract_id, period_id, day, thresholds, p10, p50, p90, refusal, detail FROM alert_projections WHERE organization_id = $1
