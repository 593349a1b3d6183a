-- What could not be counted, once per record.
INSERT INTO dead_letter_outbox (topic, partition, kafka_offset, key, value, headers, reason, pointer, received_at, organization, identity)
SELECT $1, partition, kafka_offset, key, value, headers::json, reason, pointer, to_timestamp(received), organization, identity
FROM unnest($2::integer[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::text[], $11::uuid[])
    AS d(partition, kafka_offset, key, value, headers, reason, pointer, received, organization, identity)
