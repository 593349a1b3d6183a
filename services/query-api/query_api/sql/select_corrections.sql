-- Corrections of one event that count, in the order of their time. Their ids tell nothing of the event's, so every partition is looked into, by an index of corrections alone.
SELECT credits, occurred_at, received_at, kafka_partition, kafka_offset, held
FROM usage_ledger WHERE organization_id = $1 AND corrects_bucket = $2 AND corrects = $3 AND NOT held
ORDER BY occurred_at, kafka_partition, kafka_offset
