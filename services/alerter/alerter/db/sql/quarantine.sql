-- Organizations for which a step fails because of their own data.

-- name: select_quarantined
-- Select the organizations that the alerter has quarantined, with the reasons.
SELECT q.organization_id, o.organization, q.step, q.reason FROM quarantine q JOIN organizations o USING (organization_id) WHERE q.component = 'alerter'

-- name: quarantine_organization
-- Quarantine an organization that failed at step $2 for $4 seconds, doubled with every further failure up to $5.
-- The former reason shows whether this one is new.
WITH before AS (SELECT reason FROM quarantine WHERE organization_id = $1 AND component = 'alerter' AND step = $2)
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
VALUES ($1, 'alerter', $2, $3, now() + make_interval(secs => $4::float8))
ON CONFLICT (organization_id, component, step) DO UPDATE SET attempts = q.attempts + 1, reason = excluded.reason, failed_last_at = now(),
    retry_at = now() + make_interval(secs => least($5::float8, $4 * 2 ^ least(q.attempts, 20)))
RETURNING (SELECT organization FROM organizations o WHERE o.organization_id = q.organization_id) AS organization,
    (SELECT reason FROM before) IS DISTINCT FROM q.reason AS is_news

-- name: claim_quarantined
-- Claim up to $1 organizations and steps that are due for a retry; no other process retries them for $2 seconds.
-- Requests and alert events wait in their own tables.
UPDATE quarantine SET retry_at = now() + make_interval(secs => $2) WHERE (organization_id, component, step) IN (
    SELECT organization_id, component, step FROM quarantine
    WHERE component = 'alerter' AND step IN ('evaluate', 'wakeup', 'project', 'mail', 'channel') AND retry_at <= now()
    ORDER BY retry_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING organization_id, step

-- name: release_organizations
-- Release organizations that succeeded at these steps.
DELETE FROM quarantine q USING organizations o
WHERE o.organization_id = q.organization_id AND q.component = 'alerter' AND q.organization_id = ANY($1::integer[]) AND q.step = ANY($2::text[])
RETURNING o.organization, q.step

-- name: release_finished
-- Release organizations whose outbox has no item left that could not be written ($1) or recorded.
-- Only the first due mails, the first waiting mails and the first deliveries of each channel are read, about $2 for all
-- organizations together. If a later item fails, its organization is quarantined again.
WITH portion AS MATERIALIZED (
    SELECT 1 + $2::bigint / greatest(count(*), 1) AS items FROM quarantine WHERE component = 'alerter' AND step IN ('mail', 'channel')
)
DELETE FROM quarantine q USING organizations o
WHERE o.organization_id = q.organization_id AND q.component = 'alerter' AND CASE q.step
    WHEN 'mail' THEN (SELECT true FROM (
            (SELECT email_id, attempts FROM email_outbox
             WHERE organization_id = q.organization_id AND state = 'pending' AND due_at <= now()
             ORDER BY due_at NULLS FIRST, email_id LIMIT (SELECT items FROM portion))
            UNION ALL
            (SELECT email_id, attempts FROM email_outbox
             WHERE organization_id = q.organization_id AND state = 'pending' AND due_at > now()
             ORDER BY due_at NULLS FIRST, email_id LIMIT (SELECT items FROM portion))) AS e
        WHERE e.attempts > 0
            AND coalesce((SELECT a.detail FROM email_attempts a WHERE (a.email_id, a.attempt) = (e.email_id, e.attempts)), $1) = $1
        LIMIT 1) IS NULL
    WHEN 'channel' THEN (SELECT true FROM alert_channels c CROSS JOIN LATERAL (
            SELECT delivery_id, attempts FROM alert_deliveries
            WHERE organization_id = q.organization_id AND channel_id = c.channel_id AND state = 'pending'
            ORDER BY delivery_id NULLS FIRST LIMIT (SELECT items FROM portion)) AS d
        WHERE c.organization_id = q.organization_id AND d.attempts > 0
            AND coalesce((SELECT a.detail FROM alert_delivery_attempts a WHERE (a.delivery_id, a.attempt) = (d.delivery_id, d.attempts)), $1) = $1
        LIMIT 1) IS NULL
    WHEN 'publish' THEN (SELECT true FROM alert_events n WHERE n.organization_id = q.organization_id AND n.published_at IS NULL LIMIT 1) IS NULL
    WHEN 'request' THEN (SELECT true FROM mail_requests r WHERE r.organization_id = q.organization_id LIMIT 1) IS NULL
    ELSE false END
RETURNING o.organization, q.step

-- name: retry_all
-- Make all quarantined organizations due. A new process does this, because its version may have fixed their failures.
UPDATE quarantine SET retry_at = now() WHERE component = 'alerter' AND retry_at > now()
