-- The times at which an event of this identity was rejected, the oldest first.
SELECT topic, partition, kafka_offset AS "offset", reason, pointer, received_at FROM dead_letter_outbox
WHERE organization = current_setting('app.organization', true) AND identity = $1
ORDER BY received_at, partition, kafka_offset
