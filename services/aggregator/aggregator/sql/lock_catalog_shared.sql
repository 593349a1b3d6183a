-- Keep facts from being applied until this transaction ends; other batches may hold it too.
SELECT pg_advisory_xact_lock_shared($1)
