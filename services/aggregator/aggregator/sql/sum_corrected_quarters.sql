-- What corrections come to, and how many they are, by quarter of an hour since 1970.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, series_id, sum(credits)::bigint AS credits, count(*) AS events
FROM usage_ledger WHERE organization_id = $1 AND NOT held AND corrects IS NOT NULL GROUP BY 1, 2
