-- Held offsets found their fate later: counted, duplicate or rejected.
UPDATE partition_progress AS p
SET held = p.held - d.counted - d.duplicate - d.rejected, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected, updated_at = clock_timestamp()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d(partition, counted, duplicate, rejected)
WHERE p.topic = $1 AND p.partition = d.partition
