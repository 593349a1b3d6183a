-- name: select_channels
-- Channels that were not removed, oldest first.
SELECT channel_id, kind, name, masked_url, created_at, created_by, stopped_at, stop_reason, content_type FROM alert_channels
WHERE organization_id = $1 AND removed_at IS NULL ORDER BY channel_id

-- name: select_channel_deliveries
-- Deliveries of a channel, newest first, before delivery $3 (null: from the newest).
SELECT d.delivery_id, n.event_id, n.kind AS event, n.firing_id, d.state, d.attempts, d.created_at, CASE d.state WHEN 'sent' THEN d.finished_at END AS sent_at,
    CASE d.state WHEN 'pending' THEN d.due_at END AS next_attempt_at
FROM alert_deliveries d JOIN alert_events n USING (alert_event_id)
WHERE d.organization_id = $1 AND d.channel_id = $2 AND ($3::bigint IS NULL OR d.delivery_id < $3)
ORDER BY d.delivery_id DESC NULLS LAST LIMIT $4

-- name: select_channel_attempts
-- All attempts of these deliveries, in order.
SELECT delivery_id, attempt, attempted_at AS at, outcome, detail FROM alert_delivery_attempts
WHERE organization_id = $1 AND delivery_id = ANY($2::bigint[]) ORDER BY delivery_id, attempt

-- name: insert_channel
-- Add a channel. Only the alerter's role may read its address and secret.
INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, signing_secret, created_by, content_type)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING channel_id

-- name: remove_channel
-- Remove a channel: delete its address and secret, and keep its history.
UPDATE alert_channels SET removed_at = now(), url = '', signing_secret = CASE kind WHEN 'webhook' THEN '' END
WHERE organization_id = $1 AND channel_id = $2 AND removed_at IS NULL

-- name: insert_channel_test
-- Make the alerter send a test to a channel.
INSERT INTO mail_requests (organization_id, kind, rule, channel_id) VALUES ($1, 'channel_test', 'usage', $2)
