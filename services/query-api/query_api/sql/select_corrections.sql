-- Corrections of one event that count, in the order of their time. Their ids tell nothing of the event's, so every partition is looked into, by an index of corrections alone.
SELECT l.credits, l.occurred_at, l.received_at, l.kafka_partition, l.kafka_offset, l.held, c.reason
FROM usage_ledger l LEFT JOIN correction_reasons c USING (ledger_bucket, identity)
WHERE l.organization_id = $1 AND l.corrects_bucket = $2 AND l.corrects = $3 AND NOT l.held
ORDER BY l.occurred_at, l.kafka_partition, l.kafka_offset
