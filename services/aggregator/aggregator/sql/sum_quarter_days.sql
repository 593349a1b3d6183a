-- What quarters of an hour come to by the days given for them.
SELECT m.day, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[]) AS m(quarter, day) ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 GROUP BY 1, 2
