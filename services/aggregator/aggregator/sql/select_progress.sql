-- Where the partitions stand, without a lock.
SELECT partition, next_offset FROM partition_progress WHERE topic = $1
