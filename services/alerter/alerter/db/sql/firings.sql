-- Firings and banners. An evaluation first locks the organization's row in alert_state (lock_state). Until it commits,
-- no other process writes the firings, banner, alert events and mails of that organization.

-- name: create_state
-- Insert the row that evaluations lock.
INSERT INTO alert_state (organization_id, evaluated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: lock_state
-- Lock the organization's firings for this transaction. The row does not exist before the first evaluation.
SELECT true FROM alert_state WHERE organization_id = $1 FOR UPDATE

-- name: mark_evaluated
-- Store when this organization's firings last changed.
UPDATE alert_state SET evaluated_at = $2 WHERE organization_id = $1

-- name: displace_firings
-- Rename firings whose period id a new contract version gave to other dates, for which another id has fired.
-- Their new id contains their dates, so the period's id is free.
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
-- Move firings to the new id of their credit period after a new contract version. The dates identify the period.
-- Only an id without firings takes firings over, and only those of the period id that fired last.
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
-- Insert a firing. A unique index refuses a second open firing of the same threshold.
INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, kind, threshold, episode, starts_on, ends_on, fired_at, used, available,
    notification, mail_context, passed_p10, passed_p50, passed_p90)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
RETURNING firing_id

-- name: resolve_firing
-- Resolve a firing: the level or its projection fell, or the threshold, credit period or budget was removed.
UPDATE alert_firings SET resolved_at = $7, resolution = $8
WHERE organization_id = $1 AND rule = $2 AND contract_id = $3 AND period_id = $4 AND kind = $5 AND threshold = $6 AND resolved_at IS NULL
RETURNING firing_id, episode, notification, starts_on, ends_on, fired_at, passed_p10 AS p10, passed_p50 AS p50, passed_p90 AS p90

-- name: raise_banner
-- Store the organization's only banner.
INSERT INTO banners (organization_id, contract_id, period_id, kind, threshold, episode, fired_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id) DO UPDATE SET contract_id = excluded.contract_id, period_id = excluded.period_id, kind = excluded.kind,
    threshold = excluded.threshold, episode = excluded.episode, fired_at = excluded.fired_at

-- name: lower_banner
-- Delete the banner: no threshold is met any more.
DELETE FROM banners WHERE organization_id = $1
