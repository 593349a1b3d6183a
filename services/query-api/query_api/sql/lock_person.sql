-- One request of a person at a time, until the transaction ends.
SELECT pg_advisory_xact_lock($1::integer, hashtext($2))
