-- Fence: a zombie waits here for the new owner, or the other way round, and then sees how far it came.
SELECT partition, next_offset FROM partition_progress
WHERE topic = $1 AND partition = ANY($2::integer[]) ORDER BY topic, partition FOR UPDATE
