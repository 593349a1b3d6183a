-- Records of organizations in quarantine, byte for byte.
INSERT INTO quarantined_records (topic, organization_id, partition, kafka_offset, key, value, headers, received_at)
SELECT $1, organization_id, partition, kafka_offset, key, value, headers::json, to_timestamp(received)
FROM unnest($2::integer[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[], $8::float8[])
    AS d(organization_id, partition, kafka_offset, key, value, headers, received)
