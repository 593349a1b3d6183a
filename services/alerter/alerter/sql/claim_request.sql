-- Take the first thing that somebody asked for of organization $1, none of $2; it comes back if this transaction fails.
DELETE FROM mail_requests WHERE request_id = (
    SELECT request_id FROM mail_requests WHERE organization_id = $1 AND NOT request_id = ANY($2::bigint[])
    ORDER BY request_id NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING request_id, organization_id, kind, rule, firing_id, recipient, channel_id, requested_at
