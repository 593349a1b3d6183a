-- What other systems are told of a firing or its end, and to which channels it goes: $7, to webhooks; $8, to people too.
WITH notice AS (
    INSERT INTO alert_notices (organization_id, firing_id, event_id, kind, body, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING notice_id
)
INSERT INTO alert_deliveries (organization_id, channel_id, notice_id, created_at)
SELECT $1, c.channel_id, notice.notice_id, $6 FROM notice, alert_channels c
WHERE c.organization_id = $1 AND c.removed_at IS NULL AND c.stopped_at IS NULL AND CASE c.kind WHEN 'webhook' THEN $7::boolean ELSE $8::boolean END
