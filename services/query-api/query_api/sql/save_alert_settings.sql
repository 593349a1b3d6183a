-- The settings, if nobody has saved since version $2 was read (0: nobody had); no row otherwise.
INSERT INTO alert_settings AS saved (organization_id, updated_by, usage_thresholds, usage_recipients_on, usage_recipients,
    budget_thresholds, budget_recipients_on, budget_recipients, budget_recurring_credits, budget_once_credits, budget_once_month)
VALUES ($1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (organization_id) DO UPDATE SET version = saved.version + 1, updated_at = now(), updated_by = excluded.updated_by,
    usage_thresholds = excluded.usage_thresholds, usage_recipients_on = excluded.usage_recipients_on,
    usage_recipients = excluded.usage_recipients, budget_thresholds = excluded.budget_thresholds,
    budget_recipients_on = excluded.budget_recipients_on, budget_recipients = excluded.budget_recipients,
    budget_recurring_credits = excluded.budget_recurring_credits, budget_once_credits = excluded.budget_once_credits,
    budget_once_month = excluded.budget_once_month
WHERE saved.version = $2
RETURNING version
