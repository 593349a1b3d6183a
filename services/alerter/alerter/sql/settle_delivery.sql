-- How attempt $2 ended: sent, refused, or deferred for $5 seconds. What was sent is sent, even if another attempt has begun since.
WITH attempt AS (
    INSERT INTO alert_delivery_attempts (delivery_id, organization_id, attempt, outcome, detail)
    SELECT delivery_id, organization_id, $2, $3, $4 FROM alert_deliveries WHERE delivery_id = $1
    ON CONFLICT (delivery_id, attempt) DO NOTHING
)
UPDATE alert_deliveries SET
    state = CASE $3 WHEN 'sent' THEN 'sent' WHEN 'refused' THEN 'failed' ELSE 'pending' END,
    settled_at = CASE WHEN $3 <> 'deferred' THEN now() END,
    due_at = CASE WHEN $3 = 'deferred' THEN now() + make_interval(secs => $5) ELSE due_at END
WHERE delivery_id = $1 AND state = 'pending' AND ($3 = 'sent' OR attempts = $2)
