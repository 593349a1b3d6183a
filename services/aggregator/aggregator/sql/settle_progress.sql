-- Held offsets found their fate later: counted or rejected.
UPDATE partition_progress AS p
SET held = p.held - d.counted - d.rejected, counted = p.counted + d.counted, rejected = p.rejected + d.rejected,
    updated_at = clock_timestamp()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS d(partition, counted, rejected)
WHERE p.topic = $1 AND p.partition = d.partition
