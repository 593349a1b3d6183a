-- What the ledger knows of these identities of one ledger partition.
SELECT identity, payload, organization_id, series_id, extract(epoch FROM occurred_at)::float8 AS occurred, credits, rate_id, held,
    kafka_partition, kafka_offset
FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])
