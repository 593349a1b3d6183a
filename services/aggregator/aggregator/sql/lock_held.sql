-- A stretch of held usage of one series from these partitions in Kafka order, skipping what another aggregator releases just now
-- and what is beyond the limit of sums, which only an operator asks for.
SELECT ledger_bucket, identity, organization_id, series_id, extract(epoch FROM occurred_at)::float8 AS occurred, credits, quantity,
    unit, kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value,
    extract(epoch FROM received_at)::float8 AS received
FROM usage_held
WHERE organization_id = $1 AND series_id = $2 AND waits_for <> 'sum_limit' AND kafka_partition = ANY($3::integer[])
    AND (kafka_partition, kafka_offset) > ($4, $5)
ORDER BY kafka_partition, kafka_offset LIMIT $6 FOR UPDATE SKIP LOCKED
