-- Every offset below next_offset now has its fate; the table's check refuses a sum that does not come out.
UPDATE partition_progress AS p
SET next_offset = d.next_offset, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected, held = p.held + d.held, skipped = p.skipped + d.skipped, updated_at = clock_timestamp(),
    records_end = coalesce(d.records_end, p.records_end, p.next_offset),
    caught_up_at = greatest(p.caught_up_at, to_timestamp(d.received))
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::float8[])
    AS d(partition, next_offset, counted, duplicate, rejected, held, skipped, records_end, received)
WHERE p.topic = $1 AND p.partition = d.partition
