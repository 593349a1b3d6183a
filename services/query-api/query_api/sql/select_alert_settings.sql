-- What the organization has saved or, as version 0, what holds for those that have not.
SELECT CASE WHEN organization_id = 0 THEN 0 ELSE version END AS version, CASE WHEN organization_id > 0 THEN updated_at END AS updated_at,
    updated_by, usage_thresholds, usage_recipients_on, usage_recipients, budget_thresholds, budget_recipients_on, budget_recipients,
    budget_recurring_credits, budget_once_credits, budget_once_month
FROM alert_settings WHERE organization_id IN (0, $1) ORDER BY organization_id DESC LIMIT 1
