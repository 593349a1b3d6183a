-- name: sum_days_of_quarters
-- Usage of series between instants that begin days, by the day's number from 0. Corrections are included in credits.
SELECT width_bucket(bucket_at, $2::timestamptz[]) - 1 AS day, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM usage_15m
WHERE organization_id = $1 AND bucket_at >= ($2::timestamptz[])[1] AND bucket_at < ($2::timestamptz[])[cardinality($2::timestamptz[])]
    AND series_id = ANY($3::integer[])
GROUP BY 1, 2

-- name: select_series_between
-- Series with usage between two instants.
SELECT DISTINCT series_id FROM usage_15m WHERE organization_id = $1 AND bucket_at >= $2 AND bucket_at < $3
