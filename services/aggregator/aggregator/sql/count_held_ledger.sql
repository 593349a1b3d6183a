-- Held ledger rows of one ledger partition count from now on.
UPDATE usage_ledger AS l SET held = false, credits = d.credits, rate_id = d.rate_id
FROM unnest($2::uuid[], $3::bigint[], $4::integer[]) AS d(identity, credits, rate_id)
WHERE l.ledger_bucket = $1 AND l.identity = d.identity
