-- Sums by day and product over the days from $3 to $4, of the products $2.
SELECT day, product, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM usage_organization_daily WHERE organization_id = $1 AND product = ANY($2) AND day BETWEEN $3 AND $4
GROUP BY day, product
