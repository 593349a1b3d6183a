-- name: sum_series_days
-- Micro-credits of the series $4 on each day from $2 to $3 with usage.
SELECT day, sum(credits)::bigint AS credits FROM usage_daily
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 AND series_id = ANY($4::integer[]) GROUP BY day

-- name: sum_quarters_of_day
-- Micro-credits of each quarter of an hour in [$2, $3) with usage.
SELECT bucket_at, sum(credits)::bigint AS credits FROM usage_15m
WHERE organization_id = $1 AND bucket_at >= $2 AND bucket_at < $3 GROUP BY bucket_at
