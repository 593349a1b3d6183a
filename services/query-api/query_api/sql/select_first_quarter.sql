-- The day (UTC) from which on quarters of an hour are kept: the first of the oldest month that has a partition.
SELECT min(to_date(right(c.relname, 6), 'YYYYMM')) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'usage_15m'::regclass AND c.relname ~ '_\d{6}$'
