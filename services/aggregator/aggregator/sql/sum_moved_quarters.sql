-- What moves from a day to another with its quarters of an hour.
SELECT m.was, m.becomes, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[], $4::integer[]) AS m(quarter, was, becomes)
    ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 AND m.was <> m.becomes GROUP BY 1, 2, 3
