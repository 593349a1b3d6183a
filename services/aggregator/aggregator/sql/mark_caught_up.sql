-- At the instant $3 the partition's log ended at its end offset; if all of that is applied, totals are complete to then.
UPDATE partition_progress AS p SET caught_up_at = to_timestamp($4)
FROM unnest($2::integer[], $3::bigint[]) AS d(partition, end_offset)
WHERE p.topic = $1 AND p.partition = d.partition AND p.next_offset >= d.end_offset
    AND (p.caught_up_at IS NULL OR p.caught_up_at < to_timestamp($4))
