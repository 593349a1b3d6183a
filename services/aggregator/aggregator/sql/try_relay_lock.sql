-- One relay at a time, so that a level never overtakes a later one.
SELECT pg_try_advisory_xact_lock($1)
