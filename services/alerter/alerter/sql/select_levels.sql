-- The credit periods of these organizations (null: of all) that began by $2 and ended after $3: what is available and used in each, and the thresholds.
SELECT p.organization_id, o.time_zone, coalesce(s.usage_thresholds, everybody.usage_thresholds) AS thresholds,
    p.contract_id, p.credit_period_id AS period_id, p.starts_on, p.ends_on,
    CASE WHEN p.total IS NOT NULL OR add_ons.credits IS NOT NULL THEN coalesce(p.total, 0) + coalesce(add_ons.credits, 0) END AS available,
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
JOIN alert_settings everybody ON everybody.organization_id = 0
LEFT JOIN alert_settings s ON s.organization_id = p.organization_id
CROSS JOIN LATERAL (SELECT sum(a.credits)::bigint AS credits FROM add_ons a
    WHERE (a.organization_id, a.contract_id, a.credit_period_id) = (p.organization_id, p.contract_id, p.credit_period_id)
        AND a.included) AS add_ons
CROSS JOIN LATERAL (SELECT date_trunc('month', p.starts_on + interval '1 month - 1 day')::date AS starts_on,
    date_trunc('month', p.ends_on)::date AS ends_on) AS whole
WHERE ($1::integer[] IS NULL OR p.organization_id = ANY($1)) AND p.starts_on <= $2 AND p.ends_on > $3 AND o.time_zone IS NOT NULL
ORDER BY p.organization_id, p.starts_on
