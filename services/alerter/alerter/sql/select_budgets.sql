-- The calendar months of these organizations (null: of all) that began by $2, ended after $3 and have a budget, or had one when a firing began: the budget, what is used, and the thresholds. Settings hold from the month in which they were saved, on the day before it here at the earliest: the caller knows the zones' rules and drops what is too early by saved_at.
SELECT o.organization_id, o.time_zone, CASE WHEN budget.credits IS NULL THEN '{}' ELSE s.budget_thresholds END AS thresholds,
    '' AS contract_id, m.period_id, m.starts_on, m.ends_on, budget.credits AS available,
    CASE WHEN budget.credits IS NULL THEN 0 ELSE (SELECT coalesce(sum(u.credits), 0)::bigint FROM usage_organization_monthly u
        WHERE u.organization_id = o.organization_id AND u.month = m.starts_on) END AS used,
    s.updated_at AS saved_at
FROM organizations o
CROSS JOIN LATERAL (SELECT * FROM alert_settings WHERE organization_id IN (0, o.organization_id) ORDER BY organization_id DESC LIMIT 1) AS s
CROSS JOIN LATERAL (SELECT at::date AS starts_on, (at + interval '1 month')::date AS ends_on, to_char(at, 'YYYY-MM') AS period_id
    FROM generate_series(date_trunc('month', greatest($3, (s.updated_at AT TIME ZONE 'UTC' - interval '12 hours')::date)::timestamp), $2::date, '1 month') AS at) AS m
CROSS JOIN LATERAL (SELECT CASE WHEN m.starts_on = s.budget_once_month THEN s.budget_once_credits ELSE s.budget_recurring_credits END AS credits) AS budget
WHERE o.organization_id > 0 AND ($1::integer[] IS NULL OR o.organization_id = ANY($1)) AND o.time_zone IS NOT NULL
    AND (budget.credits IS NOT NULL OR EXISTS (SELECT FROM alert_firings f WHERE f.organization_id = o.organization_id AND f.rule = 'budget'
        AND f.contract_id = '' AND f.period_id = m.period_id AND f.resolved_at IS NULL))
ORDER BY o.organization_id, m.starts_on
