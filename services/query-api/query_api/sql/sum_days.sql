-- Micro-credits of each day with usage, of all products.
SELECT day, sum(credits)::bigint AS credits FROM usage_organization_daily
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 GROUP BY day
