-- Quarter-hour rows between two instants.
SELECT organization_id, (extract(epoch FROM bucket_at) / 900)::integer, series_id, credits, events
FROM usage_15m WHERE organization_id = ANY($1::integer[]) AND bucket_at >= $2 AND bucket_at < $3
