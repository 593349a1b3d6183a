-- What a mail says of the organization, and of each product from $4 to before $5: its usage, and the amount contracted for credit period $3 of contract $2.
SELECT o.organization, coalesce(o.name, o.organization) AS name, p.assistant, p.agents, p.api,
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
