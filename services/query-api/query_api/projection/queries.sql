-- name: sum_series_days
-- Micro-credits of the series $4 on each day from $2 to $3 with usage.
-- OFFSET 0 makes Postgres find each row by its key.
SELECT used.day, sum(used.credits)::bigint AS credits
FROM generate_series($2::date, $3::date, interval '1 day') AS begun(at), unnest($4::integer[]) AS picked(series_id),
    LATERAL (SELECT day, credits FROM usage_daily
        WHERE organization_id = $1 AND day = begun.at::date AND usage_daily.series_id = picked.series_id OFFSET 0) AS used
GROUP BY used.day

-- name: sum_quarters_of_day
-- Micro-credits of each quarter of an hour in [$2, $3), numbered from 0 at $2.
SELECT (extract(epoch FROM bucket_at - $2) / 900)::integer AS quarter, sum(credits)::bigint AS credits
FROM usage_15m WHERE organization_id = $1 AND bucket_at >= $2::timestamptz AND bucket_at < $3::timestamptz GROUP BY 1
