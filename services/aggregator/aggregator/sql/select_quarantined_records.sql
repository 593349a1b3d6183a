-- The first records of an organization in quarantine, in the order of the log.
SELECT topic, partition, kafka_offset, key, value, headers, extract(epoch FROM received_at)::float8 AS received
FROM quarantined_records WHERE organization_id = $1 AND topic = $2 ORDER BY partition, kafka_offset LIMIT $3
