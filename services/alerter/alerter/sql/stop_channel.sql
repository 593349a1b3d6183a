-- The receiver is gone for good: nothing more goes to it, and what waits for it has failed.
WITH stopped AS (
    UPDATE alert_channels SET stopped_at = now(), stopped_because = $2 WHERE channel_id = $1 AND stopped_at IS NULL
)
UPDATE alert_deliveries SET state = 'failed', settled_at = now() WHERE channel_id = $1 AND state = 'pending'
