-- Every attempt at these deliveries, in order.
SELECT delivery_id, attempt, attempted_at AS at, outcome, detail FROM alert_delivery_attempts
WHERE organization_id = $1 AND delivery_id = ANY($2::bigint[]) ORDER BY delivery_id, attempt
