-- At the instant $4 the partition's log ended at its end offset; if all of that is applied, totals are complete to then.
UPDATE partition_progress AS p SET end_offset = d.end_offset, end_seen_at = to_timestamp($4),
    caught_up_at = CASE WHEN p.next_offset >= d.end_offset THEN greatest(p.caught_up_at, to_timestamp($4)) ELSE p.caught_up_at END
FROM unnest($2::integer[], $3::bigint[]) AS d(partition, end_offset)
WHERE p.topic = $1 AND p.partition = d.partition AND (p.end_seen_at IS NULL OR p.end_seen_at < to_timestamp($4))
