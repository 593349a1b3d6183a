-- name: select_banner
-- The organization's banner, and its firing.
-- The banner of an ended credit period remains until the alerter removes it.
-- A projected threshold has the dates of the last projection that knows them.
SELECT b.contract_id, b.period_id, b.kind, b.threshold, b.fired_at, f.firing_id,
    CASE WHEN last.p50 IS NULL THEN f.passed_p10 ELSE last.p10 END AS p10, coalesce(last.p50, f.passed_p50) AS p50,
    CASE WHEN last.p50 IS NULL THEN f.passed_p90 ELSE last.p90 END AS p90
FROM banners b
LEFT JOIN alert_firings f ON f.rule = 'usage' AND (f.organization_id, f.contract_id, f.period_id, f.kind, f.threshold, f.episode)
    = (b.organization_id, b.contract_id, b.period_id, b.kind, b.threshold, b.episode)
LEFT JOIN LATERAL (
    SELECT p.p10[at.place] AS p10, p.p50[at.place] AS p50, p.p90[at.place] AS p90
    FROM alert_projections p CROSS JOIN LATERAL (SELECT array_position(p.thresholds, b.threshold) AS place) AS at
    WHERE b.kind = 'projected' AND p.rule = 'usage'
        AND (p.organization_id, p.contract_id, p.period_id) = (b.organization_id, b.contract_id, b.period_id)
) AS last ON true
WHERE b.organization_id = $1

-- name: select_dismissals
-- People who dismissed the banner of a firing.
SELECT subject FROM banner_dismissals WHERE organization_id = $1 AND firing_id = $2

-- name: insert_dismissal
-- Dismiss the banner of a firing for a person. Idempotent.
INSERT INTO banner_dismissals (organization_id, subject, firing_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: select_firings
-- A page of the organization's firings, newest first: at most $3, before firing $2 (null: from the newest).
-- Firings of an organization are inserted one at a time, so ids have the order of the firings.
SELECT firing_id, rule, kind, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available, notification, resolved_at, resolution,
    passed_p10 AS p10, passed_p50 AS p50, passed_p90 AS p90
FROM alert_firings WHERE organization_id = $1 AND ($2::bigint IS NULL OR firing_id < $2)
ORDER BY firing_id DESC NULLS LAST LIMIT $3

-- name: select_firing
-- One firing of the organization.
SELECT firing_id, rule, kind, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available, notification, resolved_at, resolution,
    passed_p10 AS p10, passed_p50 AS p50, passed_p90 AS p90
FROM alert_firings WHERE organization_id = $1 AND firing_id = $2

-- name: select_deliveries
-- Mails of these firings by recipient, with the last error of those that are not sent.
SELECT e.firing_id, e.recipient, e.state, e.attempts, e.created_at, CASE e.state WHEN 'sent' THEN e.finished_at END AS sent_at,
    CASE e.state WHEN 'pending' THEN e.due_at END AS next_attempt_at, last_failure.detail AS last_error, e.email_id
FROM email_outbox e
LEFT JOIN LATERAL (SELECT a.detail FROM email_attempts a
    WHERE a.organization_id = $1 AND a.email_id = e.email_id AND a.outcome <> 'sent' AND e.state <> 'sent'
    ORDER BY a.attempt DESC LIMIT 1) AS last_failure ON true
WHERE e.organization_id = $1 AND e.firing_id = ANY($2::bigint[])
ORDER BY e.firing_id, e.recipient, e.email_id

-- name: select_mail_attempts
-- All attempts at mails of a firing, with the answer of the mail server.
SELECT a.email_id, a.attempt, a.attempted_at AS at, a.outcome, a.detail FROM email_outbox e JOIN email_attempts a USING (email_id)
WHERE e.organization_id = $1 AND e.firing_id = $2 AND a.organization_id = $1
ORDER BY a.email_id, a.attempt

-- name: insert_wakeup
-- Make the alerter evaluate the organization.
INSERT INTO alert_wakeups (organization_id) VALUES ($1)
