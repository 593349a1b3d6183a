-- Firings and banners. An evaluation first locks the row of an organization in alert_state (lock_state): until it
-- commits, nobody else writes the firings, banner, alert events and mails of that organization.

-- name: create_state
-- The row to lock.
INSERT INTO alert_state (organization_id, evaluated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: lock_state
-- Whoever holds this row may change the organization's firings; no row is there before the first time.
SELECT true FROM alert_state WHERE organization_id = $1 FOR UPDATE

-- name: mark_settled
-- When this organization's firings last changed.
UPDATE alert_state SET evaluated_at = $2 WHERE organization_id = $1

-- name: displace_firings
-- Firings of credit periods whose id a new version of their contract gave to other dates, for which another id has
-- fired: they make room under an id that says their dates.
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

-- name: adopt_firings
-- Firings of credit periods that a new version of their contract has under another id, found by their dates. Only an id
-- that has fired nothing yet takes firings over, and only those of the period that fired last.
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

-- name: insert_firing
-- A threshold is met. A second open firing of it is refused by a unique index.
INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available,
    notification, facts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING firing_id

-- name: resolve_firing
-- The level fell under a threshold again, or the threshold or what it is a percentage of was removed.
UPDATE alert_firings SET resolved_at = $6, resolution = $7
WHERE organization_id = $1 AND rule = $2 AND contract_id = $3 AND period_id = $4 AND threshold = $5 AND resolved_at IS NULL
RETURNING firing_id, episode, notification, starts_on, ends_on, fired_at

-- name: raise_banner
-- The organization's one banner.
INSERT INTO banners (organization_id, contract_id, period_id, threshold, episode, fired_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id) DO UPDATE SET contract_id = excluded.contract_id, period_id = excluded.period_id,
    threshold = excluded.threshold, episode = excluded.episode, fired_at = excluded.fired_at

-- name: lower_banner
-- Nothing is met any more.
DELETE FROM banners WHERE organization_id = $1
