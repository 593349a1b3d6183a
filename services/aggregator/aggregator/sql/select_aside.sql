-- Which of these records wait in quarantine.
SELECT partition, kafka_offset FROM quarantined_records
WHERE topic = $1 AND (partition, kafka_offset) IN (SELECT * FROM unnest($2::integer[], $3::bigint[]))
