-- Waits no more.
DELETE FROM usage_held AS h USING unnest($1::integer[], $2::uuid[]) AS d(ledger_bucket, identity)
WHERE h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity
