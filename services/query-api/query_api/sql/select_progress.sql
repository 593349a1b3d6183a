-- What became of every offset of each partition.
SELECT topic, partition, next_offset AS applied, counted, duplicate, rejected, held
FROM partition_progress WHERE topic = $1 ORDER BY partition
