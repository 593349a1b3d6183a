-- What was fired in credit periods whose id a new version of their contract gave to other dates, for which another id has fired: it leaves its place to that, under an id that says its dates.
UPDATE alert_firings f SET period_id = f.period_id || ' ' || f.starts_on::text || '/' || f.ends_on::text
FROM credit_periods p
WHERE f.organization_id = $1 AND f.rule = 'usage'
    AND (p.organization_id, p.contract_id, p.credit_period_id) = (f.organization_id, f.contract_id, f.period_id)
    AND (p.starts_on, p.ends_on) <> (f.starts_on, f.ends_on)
    AND EXISTS (SELECT FROM alert_firings other
        WHERE (other.organization_id, other.rule, other.contract_id, other.starts_on, other.ends_on)
            = (f.organization_id, f.rule, f.contract_id, p.starts_on, p.ends_on) AND other.period_id <> f.period_id)
    AND NOT EXISTS (SELECT FROM alert_firings own
        WHERE (own.organization_id, own.rule, own.contract_id, own.period_id, own.starts_on, own.ends_on)
            = (f.organization_id, f.rule, f.contract_id, f.period_id, p.starts_on, p.ends_on))
