-- One batch at a time counts for an organization near the limit of its sums.
SELECT pg_advisory_xact_lock($1::integer, $2::integer)
