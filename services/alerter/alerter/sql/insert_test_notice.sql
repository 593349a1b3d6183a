-- A test goes to channel $2 alone, unless it was removed since, and never to the topic.
WITH channel AS (
    SELECT channel_id FROM alert_channels WHERE organization_id = $1 AND channel_id = $2 AND removed_at IS NULL AND stopped_at IS NULL
), notice AS (
    INSERT INTO alert_notices (organization_id, event_id, kind, body, created_at, published_at)
    SELECT $1, $3, 'test', $4, $5, $5 FROM channel RETURNING notice_id
)
INSERT INTO alert_deliveries (organization_id, channel_id, notice_id, created_at) SELECT $1, $2, notice_id, $5 FROM notice
