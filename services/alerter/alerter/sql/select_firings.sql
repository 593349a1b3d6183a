-- The latest episode of every threshold of these organizations (null: of all), in periods that end after $2 and in credit periods that no contract has any more.
SELECT DISTINCT ON (f.organization_id, f.rule, f.contract_id, f.period_id, f.threshold) f.organization_id, f.rule, f.contract_id, f.period_id,
    f.threshold, f.episode, f.resolved_at IS NULL AS is_open, f.fired_at
FROM alert_firings f
LEFT JOIN credit_periods p ON (p.organization_id, p.contract_id, p.credit_period_id) = (f.organization_id, f.contract_id, f.period_id)
WHERE ($1::integer[] IS NULL OR f.organization_id = ANY($1))
    AND CASE f.rule WHEN 'usage' THEN p.ends_on IS NULL OR p.ends_on > $2 ELSE f.ends_on > $2 END
ORDER BY f.organization_id, f.rule, f.contract_id, f.period_id, f.threshold, f.episode DESC
