-- Held records found their fate later, in the hour of their receipt: counted, duplicate or rejected.
UPDATE partition_hours AS p
SET held = p.held - d.counted - d.duplicate - d.rejected, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected
FROM unnest($2::integer[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[]) AS d(partition, hour, counted, duplicate, rejected)
WHERE p.topic = $1 AND p.partition = d.partition AND p.hour_at = to_timestamp(d.hour * 3600.0)
