-- Remember on the original what its corrections sum to.
UPDATE usage_ledger AS l SET corrected = coalesce(l.corrected, 0) + d.credits
FROM (SELECT identity, sum(credits)::bigint AS credits FROM unnest($2::uuid[], $3::bigint[]) AS u(identity, credits) GROUP BY 1) AS d
WHERE l.ledger_bucket = $1 AND l.identity = d.identity
