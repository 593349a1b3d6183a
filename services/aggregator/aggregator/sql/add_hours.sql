-- What became of the records that a partition took in an hour.
INSERT INTO partition_hours AS t (topic, partition, hour_at, counted, duplicate, rejected, held)
SELECT $1, partition, to_timestamp(hour * 3600.0), counted, duplicate, rejected, held
FROM unnest($2::integer[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS d(partition, hour, counted, duplicate, rejected, held)
ORDER BY partition, hour
ON CONFLICT (topic, partition, hour_at) DO UPDATE SET counted = t.counted + excluded.counted,
    duplicate = t.duplicate + excluded.duplicate, rejected = t.rejected + excluded.rejected, held = t.held + excluded.held
