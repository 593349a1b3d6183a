-- No record before next_offset was appended later than this; from records_end up to it there is none at all.
SELECT partition, ceil(extract(epoch FROM caught_up_at) * 1000)::bigint AS received_ms, coalesce(records_end, next_offset) AS records_end
FROM partition_progress WHERE topic = $1 AND next_offset > 0 AND caught_up_at IS NOT NULL
