-- Wait for the batches that are rating, and keep new ones waiting until this transaction ends.
SELECT pg_advisory_xact_lock($1)
