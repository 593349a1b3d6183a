-- name: select_progress
-- Dispositions of all offsets of each partition, and the last known end of its log.
SELECT topic, partition, next_offset - skipped AS applied, counted, duplicate, rejected, held, skipped, end_offset, end_seen_at
FROM partition_progress LEFT JOIN partition_ends USING (topic, partition) WHERE topic = $1 ORDER BY partition

-- name: select_hours
-- Dispositions of the records that were appended to each partition, by hour, from $2 on.
SELECT topic, partition, hour_at, counted + duplicate + rejected + held AS applied, counted, duplicate, rejected, held
FROM partition_hours WHERE topic = $1 AND hour_at >= $2 ORDER BY partition, hour_at

-- name: select_zone_rules
-- The tz release with which the organization's days were counted, and its rules since 2024.
-- No row: not recorded.
SELECT tz, changes FROM zone_rules WHERE organization_id = $1 AND time_zone = $2

-- name: sum_rollups
-- Micro-credits of all time, at each grain of the rollups.
-- Quarters of an hour are kept for some months only: days before the first complete one ($2, which begins at $3) come from the
-- daily rows.
SELECT
    (coalesce((SELECT sum(credits) FROM usage_15m WHERE organization_id = $1 AND bucket_at >= $3::timestamptz), 0)
   + coalesce((SELECT sum(credits) FROM usage_daily WHERE organization_id = $1 AND day < $2::date), 0))::bigint AS quarter_hours,
    coalesce((SELECT sum(credits) FROM usage_daily WHERE organization_id = $1), 0)::bigint AS days,
    coalesce((SELECT sum(credits) FROM usage_monthly WHERE organization_id = $1), 0)::bigint AS months,
    coalesce((SELECT sum(credits) FROM usage_organization_daily WHERE organization_id = $1), 0)::bigint AS organization_days,
    coalesce((SELECT sum(credits) FROM usage_organization_monthly WHERE organization_id = $1), 0)::bigint AS organization_months

-- name: set_statement_timeout
-- Limit each statement to $1 ms until the transaction ends or the savepoint is rolled back.
SELECT set_config('statement_timeout', $1, true)

-- name: sum_ledger
-- Micro-credits of the organization's counted events: the ledger, plus sealed sums of days that were deleted from it.
SELECT (coalesce((SELECT sum(credits) FROM usage_ledger WHERE organization_id = $1 AND NOT held), 0)
      + coalesce((SELECT sum(credits) FROM ledger_seals WHERE organization_id = $1), 0))::bigint
