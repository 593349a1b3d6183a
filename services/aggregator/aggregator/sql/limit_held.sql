-- What no sum can keep waits for good.
UPDATE usage_held AS h SET waits_for = 'sum_limit' FROM unnest($1::integer[], $2::uuid[]) AS d(ledger_bucket, identity)
WHERE h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity
