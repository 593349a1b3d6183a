-- The next facts of an organization in quarantine behind offset $3, as the catalog topic has them.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 AND partition = 0 AND kafka_offset > $3 ORDER BY kafka_offset LIMIT $4
