-- Dead letters that the topic has not got yet.
SELECT dead_letter_id, topic, partition, kafka_offset, key, value, headers, reason, pointer,
    extract(epoch FROM received_at)::float8 AS received
FROM dead_letter_outbox WHERE published_at IS NULL ORDER BY dead_letter_id LIMIT $1 FOR UPDATE SKIP LOCKED
