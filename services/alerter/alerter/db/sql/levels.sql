-- The input of an evaluation: organizations, their used and available credits, and their firings so far.

-- name: select_numbers
-- Select the numbers of these organizations.
SELECT organization_id FROM organizations WHERE organization = ANY($1) AND organization_id > 0

-- name: select_organizations
-- Select the numbers of all organizations.
SELECT organization_id FROM organizations WHERE organization_id > 0 ORDER BY organization_id

-- name: select_crowded
-- Select those of these organizations (null: all) with more than $4 rows of select_levels and firings of such periods.
SELECT organization_id FROM (
    SELECT p.organization_id FROM credit_periods p
    WHERE ($1::integer[] IS NULL OR p.organization_id = ANY($1)) AND p.starts_on <= $2 AND p.ends_on > $3
    UNION ALL
    SELECT f.organization_id FROM alert_firings f
    LEFT JOIN credit_periods p ON (p.organization_id, p.contract_id, p.credit_period_id) = (f.organization_id, f.contract_id, f.period_id)
    WHERE ($1::integer[] IS NULL OR f.organization_id = ANY($1)) AND f.rule = 'usage' AND (p.ends_on IS NULL OR p.ends_on > $3)) AS read
GROUP BY organization_id HAVING count(*) > $4

-- name: select_name
-- Select an organization's id and display name.
SELECT organization, coalesce(name, organization) AS name FROM organizations WHERE organization_id = $1

-- name: select_levels
-- Select credit periods of these organizations (null: all) that began by $2 and end after $3, with their levels.
-- A level has the available and used credits, and the thresholds. More available credits than a bigint holds count as that many.
SELECT p.organization_id, o.time_zone, coalesce(s.usage_thresholds, defaults.usage_thresholds) AS thresholds,
    coalesce(s.usage_projected_thresholds, defaults.usage_projected_thresholds) AS projected_thresholds, p.contract_id, p.credit_period_id AS period_id, p.starts_on, p.ends_on,
    CASE WHEN p.total IS NOT NULL OR add_ons.credits IS NOT NULL THEN least(coalesce(p.total, 0) + coalesce(add_ons.credits, 0), 9223372036854775807)::bigint END AS available,
    (SELECT coalesce(sum(used.credits), 0)::bigint FROM (
        SELECT m.credits FROM usage_organization_monthly m
        WHERE m.organization_id = p.organization_id AND m.month >= whole.starts_on AND m.month < whole.ends_on
        UNION ALL
        SELECT d.credits FROM usage_organization_daily d
        WHERE d.organization_id = p.organization_id AND d.day >= p.starts_on AND d.day < least(whole.starts_on, p.ends_on)
        UNION ALL
        SELECT d.credits FROM usage_organization_daily d
        WHERE d.organization_id = p.organization_id AND d.day >= greatest(whole.starts_on, whole.ends_on) AND d.day < p.ends_on
    ) AS used) AS used
FROM credit_periods p
JOIN organizations o USING (organization_id)
JOIN alert_settings defaults ON defaults.organization_id = 0
LEFT JOIN alert_settings s ON s.organization_id = p.organization_id
CROSS JOIN LATERAL (SELECT sum(a.credits) AS credits FROM add_ons a
    WHERE (a.organization_id, a.contract_id, a.credit_period_id) = (p.organization_id, p.contract_id, p.credit_period_id)
        AND a.included) AS add_ons
CROSS JOIN LATERAL (SELECT date_trunc('month', p.starts_on + interval '1 month - 1 day')::date AS starts_on,
    date_trunc('month', p.ends_on)::date AS ends_on) AS whole
WHERE ($1::integer[] IS NULL OR p.organization_id = ANY($1)) AND p.starts_on <= $2 AND p.ends_on > $3 AND o.time_zone IS NOT NULL
ORDER BY p.organization_id, p.starts_on, p.contract_id, p.credit_period_id

-- name: select_budgets
-- Select months of these organizations (null: all) with a budget or an open firing, begun by $2 and ended after $3.
-- Each month has its budget, its usage and the thresholds. Settings apply from the month in which they were saved.
-- Months that begin up to a day too early are included: the caller knows the rules of time zones, and drops them by
-- saved_at.
SELECT o.organization_id, o.time_zone, CASE WHEN budget.credits IS NULL THEN '{}' ELSE s.budget_thresholds END AS thresholds,
    CASE WHEN budget.credits IS NULL THEN '{}' ELSE s.budget_projected_thresholds END AS projected_thresholds, '' AS contract_id, m.period_id, m.starts_on, m.ends_on, budget.credits AS available,
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

-- name: select_firings
-- Select the latest episode of each threshold of these organizations (null: all), in periods that end after $2.
-- Credit periods that no contract has any more are included.
SELECT DISTINCT ON (f.organization_id, f.rule, f.contract_id, f.period_id, f.kind, f.threshold) f.organization_id, f.rule, f.contract_id, f.period_id,
    f.kind, f.threshold, f.episode, f.resolved_at IS NULL AS is_open, f.fired_at, max(f.fired_at) FILTER (WHERE f.notification = 'sent')
        OVER (PARTITION BY f.organization_id, f.rule, f.contract_id, f.period_id, f.kind, f.threshold) AS mailed_at
FROM alert_firings f
LEFT JOIN credit_periods p ON (p.organization_id, p.contract_id, p.credit_period_id) = (f.organization_id, f.contract_id, f.period_id)
WHERE ($1::integer[] IS NULL OR f.organization_id = ANY($1))
    AND CASE f.rule WHEN 'usage' THEN p.ends_on IS NULL OR p.ends_on > $2 ELSE f.ends_on > $2 END
ORDER BY f.organization_id, f.rule, f.contract_id, f.period_id, f.kind, f.threshold, f.episode DESC

-- name: select_banners
-- Select the banners of these organizations (null: all).
SELECT organization_id, contract_id, period_id, kind, threshold, episode, fired_at FROM banners
WHERE $1::integer[] IS NULL OR organization_id = ANY($1)

-- name: select_mail_context
-- Select each product's usage from $4 to before $5, and its contracted credits in credit period $3 of contract $2.
SELECT p.assistant, p.agents, p.api,
    coalesce(sum(u.credits) FILTER (WHERE u.product = 'assistant'), 0)::bigint AS assistant_used,
    coalesce(sum(u.credits) FILTER (WHERE u.product = 'agents'), 0)::bigint AS agents_used,
    coalesce(sum(u.credits) FILTER (WHERE u.product = 'api'), 0)::bigint AS api_used
FROM organizations o
LEFT JOIN credit_periods p ON p.organization_id = o.organization_id AND p.contract_id = $2 AND p.credit_period_id = $3
CROSS JOIN (SELECT date_trunc('month', $4::date + interval '1 month - 1 day')::date AS starts_on, date_trunc('month', $5::date)::date AS ends_on) AS whole
LEFT JOIN LATERAL (
    SELECT m.product, m.credits FROM usage_organization_monthly m
    WHERE m.organization_id = o.organization_id AND m.month >= whole.starts_on AND m.month < whole.ends_on
    UNION ALL
    SELECT d.product, d.credits FROM usage_organization_daily d
    WHERE d.organization_id = o.organization_id AND d.day >= $4 AND d.day < least(whole.starts_on, $5)
    UNION ALL
    SELECT d.product, d.credits FROM usage_organization_daily d
    WHERE d.organization_id = o.organization_id AND d.day >= greatest(whole.starts_on, whole.ends_on) AND d.day < $5
) AS u ON true
WHERE o.organization_id = $1
GROUP BY o.organization_id, p.organization_id, p.contract_id, p.credit_period_id

-- name: select_drivers
-- Select the three features with the most usage above 0 from $2 to before $3, with their display names on $4.
-- The organization's own name has precedence. chr(127) stands for features beyond the limit of new ones.
SELECT used.product, used.credits, coalesce((
        SELECT f.display_name FROM features f
        WHERE f.organization_id IN (0, $1) AND (f.product, f.feature_kind, f.feature) = (used.product, used.feature_kind, used.feature)
            AND f.effective_from <= $4 AND f.display_name IS NOT NULL
        ORDER BY f.organization_id DESC, f.effective_from DESC LIMIT 1),
        CASE used.feature WHEN chr(127) THEN 'Other' ELSE used.feature END) AS name
FROM (
    SELECT s.product, s.feature_kind, s.feature, sum(u.credits)::bigint AS credits
    FROM (SELECT date_trunc('month', $2::date + interval '1 month - 1 day')::date AS starts_on, date_trunc('month', $3::date)::date AS ends_on) AS whole
    CROSS JOIN LATERAL (
        SELECT m.series_id, m.credits FROM usage_monthly m
        WHERE m.organization_id = $1 AND m.month >= whole.starts_on AND m.month < whole.ends_on
        UNION ALL
        SELECT d.series_id, d.credits FROM usage_daily d
        WHERE d.organization_id = $1 AND d.day >= $2 AND d.day < least(whole.starts_on, $3)
        UNION ALL
        SELECT d.series_id, d.credits FROM usage_daily d
        WHERE d.organization_id = $1 AND d.day >= greatest(whole.starts_on, whole.ends_on) AND d.day < $3
    ) AS u
    JOIN usage_series s USING (series_id)
    GROUP BY 1, 2, 3 HAVING sum(u.credits) > 0 ORDER BY 4 DESC, 1, 2, 3 LIMIT 3
) AS used
ORDER BY used.credits DESC, used.product, name

-- name: count_organizations
-- Count the known organizations.
SELECT count(*) FROM organizations WHERE organization_id > 0

-- name: limit_statements
-- Set the time limit of the following statements of this transaction to $1 each.
SELECT set_config('statement_timeout', $1, true)
