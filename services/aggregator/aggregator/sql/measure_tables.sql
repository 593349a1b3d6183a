-- How long held usage waits, whether fates add up in every way of asking, how far partitions reach, and what all of it takes.
WITH waiting AS (
    SELECT count(*) AS events, min(received_at) AS oldest_at FROM usage_held
), aside AS (
    SELECT count(*) AS records, count(*) FILTER (WHERE topic = $1) AS of_topic FROM quarantined_records
), hours AS (
    SELECT partition, sum(counted) AS counted, sum(duplicate) AS duplicate, sum(rejected) AS rejected, sum(held) AS held
    FROM partition_hours WHERE topic = $1 GROUP BY partition
), proof AS (
    SELECT coalesce(sum(abs(p.next_offset - p.counted - p.duplicate - p.rejected - p.held - p.skipped)
        + abs(p.counted - coalesce(h.counted, 0)) + abs(p.duplicate - coalesce(h.duplicate, 0))
        + abs(p.rejected - coalesce(h.rejected, 0)) + abs(p.held - coalesce(h.held, 0))), 0)
        + abs(coalesce(sum(p.held), 0) - (SELECT events FROM waiting)
        - (SELECT of_topic FROM aside)) AS unaccounted
    FROM partition_progress p LEFT JOIN hours h USING (partition) WHERE p.topic = $1
), made AS (
    SELECT max(to_date(substring(c.relname FROM '^usage_ledger_(\d{8})$'), 'YYYYMMDD')) AS last_day,
        max(to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM')) AS last_month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('usage_ledger'::regclass, 'usage_15m'::regclass)
)
SELECT coalesce((SELECT extract(epoch FROM now() - oldest_at) FROM waiting), 0)::float8 AS oldest_held_s,
    (SELECT unaccounted FROM proof)::bigint AS unaccounted,
    (SELECT coalesce(least(last_day, (last_month + interval '1 month - 1 day')::date) - $2::date, -1) FROM made) AS partitions_ahead_days,
    pg_database_size(current_database()) AS database_bytes,
    (SELECT records FROM aside) AS quarantined_records
