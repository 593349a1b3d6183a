-- First copies of these identities in one ledger partition.
SELECT identity, payload FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])
