-- No record before next_offset was appended later than this.
SELECT partition, ceil(extract(epoch FROM caught_up_at) * 1000)::bigint AS received_ms FROM partition_progress
WHERE topic = $1 AND next_offset > 0 AND caught_up_at IS NOT NULL
