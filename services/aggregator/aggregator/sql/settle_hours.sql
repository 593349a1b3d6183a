-- Held records found their fate later, in the hour of their receipt: counted or rejected.
UPDATE partition_hours AS p
SET held = p.held - d.counted - d.rejected, counted = p.counted + d.counted, rejected = p.rejected + d.rejected
FROM unnest($2::integer[], $3::float8[], $4::bigint[], $5::bigint[]) AS d(partition, hour, counted, rejected)
WHERE p.topic = $1 AND p.partition = d.partition AND p.hour_at = to_timestamp(d.hour * 3600.0)
