-- What went to a channel, newest first, before delivery $3 or from the newest on.
SELECT d.delivery_id, n.event_id, n.kind AS event, n.firing_id, d.state, d.attempts, d.created_at, CASE d.state WHEN 'sent' THEN d.settled_at END AS sent_at,
    CASE d.state WHEN 'pending' THEN d.due_at END AS next_attempt_at
FROM alert_deliveries d JOIN alert_notices n USING (notice_id)
WHERE d.organization_id = $1 AND d.channel_id = $2 AND ($3::bigint IS NULL OR d.delivery_id < $3)
ORDER BY d.delivery_id DESC NULLS LAST LIMIT $4
