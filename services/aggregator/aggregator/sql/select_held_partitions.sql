-- Kafka partitions that this held usage came from, in lock order.
SELECT DISTINCT kafka_partition FROM usage_held WHERE organization_id = $1 AND series_id = $2 ORDER BY 1
