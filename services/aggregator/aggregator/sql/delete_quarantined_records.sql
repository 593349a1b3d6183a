-- Records that are applied; returns which of them were still there.
DELETE FROM quarantined_records WHERE topic = $1 AND (partition, kafka_offset) IN (SELECT * FROM unnest($2::integer[], $3::bigint[]))
RETURNING partition
