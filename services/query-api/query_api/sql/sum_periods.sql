-- Micro-credits by product in every credit period of the organization at once.
SELECT p.contract_id, p.credit_period_id, u.product, sum(u.credits)::bigint AS credits
FROM credit_periods p JOIN usage_organization_daily u
    ON u.organization_id = p.organization_id AND u.day >= p.starts_on AND u.day < p.ends_on
WHERE p.organization_id = $1 GROUP BY 1, 2, 3
