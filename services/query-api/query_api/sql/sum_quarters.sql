-- Sums by group over quarters of an hour up to $3, in buckets that begin at the instants $2: the bucket's place among them, from 0. $4 are the series and $5 the number of each one's group.
SELECT width_bucket(bucket_at, $2::timestamptz[]) - 1 AS place, number, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM usage_15m JOIN unnest($4::integer[], $5::integer[]) AS grouped(series_id, number) USING (series_id)
WHERE organization_id = $1 AND bucket_at >= ($2::timestamptz[])[1] AND bucket_at < $3::timestamptz
GROUP BY 1, 2
