-- The organization's credit periods with contracted micro-credits and the sum of included add-ons, the earliest first.
SELECT p.contract_id, p.credit_period_id, p.starts_on, p.ends_on, p.total, p.assistant, p.agents, p.api,
    (SELECT sum(a.credits)::bigint FROM add_ons a
     WHERE (a.organization_id, a.contract_id, a.credit_period_id) = (p.organization_id, p.contract_id, p.credit_period_id)
         AND a.included) AS add_ons
FROM credit_periods p WHERE p.organization_id = $1 ORDER BY p.starts_on, p.contract_id
