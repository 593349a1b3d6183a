-- What became of every offset of each partition, and where its log ended when that was last seen.
SELECT topic, partition, next_offset - skipped AS applied, counted, duplicate, rejected, held, skipped, end_offset, end_seen_at
FROM partition_progress WHERE topic = $1 ORDER BY partition
