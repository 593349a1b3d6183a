-- Take what people asked for; it comes back if this transaction fails.
DELETE FROM mail_requests WHERE request_id IN (
    SELECT request_id FROM mail_requests ORDER BY request_id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING request_id, organization_id, kind, rule, firing_id, recipient, channel_id, requested_at
