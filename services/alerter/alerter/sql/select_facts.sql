-- What a mail says of the organization, and of each product from $4 to before $5: its usage, and the amount contracted for credit period $3 of contract $2.
SELECT o.organization, coalesce(o.name, o.organization) AS name, p.assistant, p.agents, p.api,
    coalesce(sum(d.credits) FILTER (WHERE d.product = 'assistant'), 0)::bigint AS assistant_used,
    coalesce(sum(d.credits) FILTER (WHERE d.product = 'agents'), 0)::bigint AS agents_used,
    coalesce(sum(d.credits) FILTER (WHERE d.product = 'api'), 0)::bigint AS api_used
FROM organizations o
LEFT JOIN credit_periods p ON p.organization_id = o.organization_id AND p.contract_id = $2 AND p.credit_period_id = $3
LEFT JOIN usage_organization_daily d ON d.organization_id = o.organization_id AND d.day >= $4 AND d.day < $5
WHERE o.organization_id = $1
GROUP BY o.organization_id, p.organization_id, p.contract_id, p.credit_period_id
