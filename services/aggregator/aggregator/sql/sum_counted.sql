-- What the ledger counts between two instants, by quarter of an hour: the days are the asker's to tell.
SELECT organization_id, floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter,
    count(*) AS events, sum(credits)::bigint AS credits
FROM usage_ledger WHERE NOT held AND organization_id = ANY($1::integer[]) AND occurred_at >= $2 AND occurred_at < $3 GROUP BY 1, 2
