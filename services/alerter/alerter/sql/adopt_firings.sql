-- What was fired in credit periods that a new version of their contract has under another id, by their dates. Only an id that fired nothing yet takes firings over, and only those of the period that fired last.
UPDATE alert_firings f SET period_id = p.credit_period_id
FROM credit_periods p
WHERE f.organization_id = $1 AND f.rule = 'usage'
    AND (p.organization_id, p.contract_id, p.starts_on, p.ends_on) = (f.organization_id, f.contract_id, f.starts_on, f.ends_on)
    AND NOT EXISTS (SELECT FROM credit_periods same
        WHERE (same.organization_id, same.contract_id, same.credit_period_id, same.starts_on, same.ends_on)
            = (f.organization_id, f.contract_id, f.period_id, f.starts_on, f.ends_on))
    AND NOT EXISTS (SELECT FROM alert_firings own
        WHERE (own.organization_id, own.rule, own.contract_id, own.period_id) = (f.organization_id, f.rule, f.contract_id, p.credit_period_id))
    AND f.period_id = (SELECT last.period_id FROM alert_firings last
        WHERE (last.organization_id, last.rule, last.contract_id, last.starts_on, last.ends_on)
            = (f.organization_id, f.rule, f.contract_id, f.starts_on, f.ends_on)
        ORDER BY last.firing_id DESC LIMIT 1)
