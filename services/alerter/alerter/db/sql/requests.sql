-- Triggers of the alerter: wake-ups by changed settings and catalog events, and requests for tests and mails again.

-- name: claim_wakeups
-- Claim about $1 wake-ups, in equal parts of all organizations that have one. 0 means all organizations.
-- The wake-ups remain if this transaction fails.
WITH RECURSIVE walk (organization_id) AS (
    SELECT -1
    UNION ALL
    SELECT next.organization_id FROM walk CROSS JOIN LATERAL (
        SELECT organization_id FROM alert_wakeups WHERE organization_id > walk.organization_id
        ORDER BY organization_id, wakeup_id NULLS FIRST LIMIT 1) AS next
), turns AS MATERIALIZED (SELECT organization_id FROM walk WHERE organization_id >= 0)
DELETE FROM alert_wakeups WHERE wakeup_id = ANY (ARRAY(
    SELECT w.wakeup_id FROM turns CROSS JOIN LATERAL (
        SELECT wakeup_id FROM alert_wakeups WHERE organization_id = turns.organization_id
        ORDER BY wakeup_id NULLS FIRST LIMIT (SELECT ceil($1::float8 / count(*)) FROM turns) FOR UPDATE SKIP LOCKED) AS w))
RETURNING organization_id

-- name: select_requesting
-- Select organizations with requests, those above number $1 first.
-- Organizations that are quarantined for this step wait.
WITH RECURSIVE walk (organization_id) AS (
    SELECT 0
    UNION ALL
    SELECT next.organization_id FROM walk CROSS JOIN LATERAL (
        SELECT organization_id FROM mail_requests WHERE organization_id > walk.organization_id
        ORDER BY organization_id, request_id NULLS FIRST LIMIT 1) AS next
)
SELECT w.organization_id FROM walk w
WHERE w.organization_id > 0 AND NOT EXISTS (SELECT FROM quarantine q
    WHERE q.organization_id = w.organization_id AND q.component = 'alerter' AND q.step = 'request' AND q.retry_at > now())
ORDER BY w.organization_id <= $1, w.organization_id

-- name: claim_request
-- Claim the first request of organization $1 that is not in $2. It remains if this transaction fails.
DELETE FROM mail_requests WHERE request_id = (
    SELECT request_id FROM mail_requests WHERE organization_id = $1 AND NOT request_id = ANY($2::bigint[])
    ORDER BY request_id NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING request_id, organization_id, kind, rule, firing_id, recipient, channel_id, requested_at
