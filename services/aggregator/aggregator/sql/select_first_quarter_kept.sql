-- The first day, UTC, of which quarters of an hour are kept.
SELECT min(to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_15m'::regclass
