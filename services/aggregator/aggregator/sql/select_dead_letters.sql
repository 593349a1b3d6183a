-- Which of these records are dead letters.
SELECT d.partition, d.kafka_offset FROM unnest($2::integer[], $3::bigint[]) AS d(partition, kafka_offset)
JOIN dead_letter_outbox o ON o.topic = $1 AND o.partition = d.partition AND o.kafka_offset = d.kafka_offset
