-- What came in a later quarter of an hour than it counts in; corrections are part of it and are no events.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, floor(extract(epoch FROM received_at) / 900)::integer AS received_quarter,
    s.product, sum(credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events
FROM usage_ledger l JOIN usage_series s USING (organization_id, series_id)
WHERE l.organization_id = $1 AND NOT held AND floor(extract(epoch FROM received_at) / 900) > floor(extract(epoch FROM occurred_at) / 900)
GROUP BY 1, 2, 3
