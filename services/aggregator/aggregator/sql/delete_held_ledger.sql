-- Held corrections that were rejected at last leave their identity free.
DELETE FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])
