-- The outbox of mails: email_outbox, with the result of each attempt in email_attempts.

-- name: select_recipients
-- Select recipients of alerts of rule $3: members whose role may see the dashboard, and additional recipients.
-- Billing Moderators are included if $2. An address in both lists counts as a member's. At most $4, the most important ones.
SELECT address, is_additional
FROM (
    SELECT DISTINCT ON (lower(recipients.address)) recipients.address, recipients.is_additional, recipients.place
    FROM (
        SELECT lower(m.email) AS address, false AS is_additional,
            CASE m.role WHEN 'super_admin' THEN 1 WHEN 'admin' THEN 3 ELSE 4 END AS place
        FROM members m JOIN organizations o USING (organization_id)
        WHERE m.organization_id = $1 AND NOT m.removed
            AND (m.role IN ('super_admin', 'admin') OR (m.role = 'billing_moderator' AND o.billing_moderator_enabled AND $2))
        UNION ALL
        SELECT added.address, true, 2
        FROM (SELECT * FROM alert_settings WHERE organization_id IN (0, $1) ORDER BY organization_id DESC LIMIT 1) AS s
        CROSS JOIN LATERAL unnest(CASE $3 WHEN 'usage' THEN s.usage_recipients ELSE s.budget_recipients END) AS added (address)
        WHERE CASE $3 WHEN 'usage' THEN s.usage_recipients_on ELSE s.budget_recipients_on END
    ) AS recipients
    ORDER BY lower(recipients.address), recipients.is_additional, recipients.address
) AS each_once
ORDER BY place, lower(address) LIMIT $4

-- name: insert_email
-- Insert a mail to one person, about a firing or a test with its own context.
INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, is_additional, created_at, mail_context) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: claim_emails
-- Claim up to $1 due mails for $2 seconds. After that they are due again, because their process has died.
-- Organizations take turns from the one after number $5, in equal parts, and none has more than $4 in progress; $3 has
-- an organization for each mail in progress. The walk takes one step for each organization with pending mails,
-- independent of their number.
WITH RECURSIVE walk (organization_id, room, due) AS (
    SELECT $5::integer, 0, 0
    UNION ALL
    SELECT next.organization_id, next.room, walk.due + (next.room > 0)::integer
    FROM walk CROSS JOIN LATERAL (
        SELECT organization_id,
            CASE WHEN due_at <= now() THEN $4 - coalesce(cardinality(array_positions($3::integer[], organization_id)), 0) ELSE 0 END AS room
        FROM email_outbox WHERE state = 'pending' AND organization_id > walk.organization_id
        ORDER BY organization_id, due_at NULLS FIRST LIMIT 1) AS next
    WHERE walk.due < $1
), turns AS MATERIALIZED (SELECT organization_id, room FROM walk WHERE room > 0)
UPDATE email_outbox e SET attempts = e.attempts + 1, due_at = now() + make_interval(secs => $2)
WHERE e.email_id = ANY (ARRAY(
    SELECT due.email_id FROM turns CROSS JOIN LATERAL (
        SELECT email_id FROM email_outbox WHERE organization_id = turns.organization_id AND state = 'pending' AND due_at <= now()
        ORDER BY due_at NULLS FIRST, email_id
        LIMIT least(turns.room, (SELECT ceil($1::float8 / count(*)) FROM turns)) FOR UPDATE SKIP LOCKED) AS due
    LIMIT $1))
RETURNING e.email_id, e.message_id, e.recipient, e.is_additional, e.created_at, e.attempts AS attempt,
    extract(epoch FROM now() - e.pending_since)::float8 AS waited_s,
    coalesce(e.mail_context, (SELECT f.mail_context FROM alert_firings f WHERE f.firing_id = e.firing_id)) AS context, e.organization_id

-- name: record_email_attempt
-- Store the result of attempt $2: sent, refused, or deferred for $5 seconds.
-- A result "sent" is final, also if another attempt has started since.
WITH attempt AS (
    INSERT INTO email_attempts (email_id, organization_id, attempt, outcome, detail)
    SELECT email_id, organization_id, $2, $3, $4 FROM email_outbox WHERE email_id = $1
    ON CONFLICT (email_id, attempt) DO NOTHING
)
UPDATE email_outbox SET
    state = CASE $3 WHEN 'sent' THEN 'sent' WHEN 'refused' THEN 'failed' ELSE 'pending' END,
    finished_at = CASE WHEN $3 <> 'deferred' THEN now() END,
    due_at = CASE WHEN $3 = 'deferred' THEN now() + make_interval(secs => $5) ELSE due_at END
WHERE email_id = $1 AND state = 'pending' AND ($3 = 'sent' OR attempts = $2)

-- name: retry_emails
-- Make mails of these organizations due whose attempt could not be written ($2), among the next $3 of each that wait.
-- The others stay due at their own time. Mails that were deferred for another reason keep their wait, and those in
-- progress have no result yet.
UPDATE email_outbox SET due_at = now() WHERE email_id = ANY (ARRAY(
    SELECT e.email_id FROM unnest($1::integer[]) AS due (organization_id) CROSS JOIN LATERAL (
        SELECT email_id, attempts FROM email_outbox
        WHERE organization_id = due.organization_id AND state = 'pending' AND due_at > now()
        ORDER BY due_at NULLS FIRST, email_id LIMIT $3) AS e
    WHERE (SELECT a.detail FROM email_attempts a WHERE (a.email_id, a.attempt) = (e.email_id, e.attempts)) = $2))
    AND state = 'pending'

-- name: resend_emails
-- Make a firing's failed mails due again (recipient $3, null: all), with the same Message-ID.
-- Their attempts continue to be counted.
UPDATE email_outbox SET state = 'pending', finished_at = NULL, due_at = now(), pending_since = now()
WHERE organization_id = $1 AND firing_id = $2 AND state = 'failed' AND ($3::text IS NULL OR lower(recipient) = lower($3))

-- name: count_pending_emails
-- Count unsent mails, up to $1; with the age in seconds of the oldest.
SELECT (SELECT count(*) FROM (SELECT FROM email_outbox WHERE state = 'pending' ORDER BY created_at NULLS FIRST LIMIT $1) AS counted) AS pending,
    coalesce(extract(epoch FROM now() - (
        SELECT created_at FROM email_outbox WHERE state = 'pending' ORDER BY created_at NULLS FIRST LIMIT 1)), 0)::float8 AS oldest_s
