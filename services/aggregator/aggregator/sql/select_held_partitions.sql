-- Kafka partitions that this held usage came from, in lock order.
SELECT DISTINCT kafka_partition FROM usage_held
WHERE organization_id = $1 AND series_id = $2 AND waits_for <> 'sum_limit' ORDER BY 1
