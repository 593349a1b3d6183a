-- Take one thing that somebody asked for, none of $1; it comes back if this transaction fails. Whom this step has set aside waits.
DELETE FROM mail_requests WHERE request_id IN (
    SELECT r.request_id FROM mail_requests r
    WHERE NOT r.request_id = ANY($1::bigint[]) AND NOT EXISTS (SELECT FROM quarantine q
        WHERE q.organization_id = r.organization_id AND q.component = 'alerter' AND q.step = 'request' AND q.retry_at > now())
    ORDER BY r.request_id LIMIT 1 FOR UPDATE OF r SKIP LOCKED)
RETURNING request_id, organization_id, kind, rule, firing_id, recipient, channel_id, requested_at
