-- The time zone rules that an organization's days are counted by, and moving its days to other rules.

-- name: select_zone_rules
-- The rules by which the days of this organization (null: of all) were counted. No row in zone_rules: not recorded.
-- is_used is computed only when the release of the rules is unknown.
SELECT o.organization_id, o.organization, o.time_zone, r.organization_id IS NOT NULL AS is_recorded, r.tz, r.changes,
    r.tz IS NULL AND EXISTS (SELECT FROM usage_organization_daily d WHERE d.organization_id = o.organization_id) AS is_used
FROM organizations o LEFT JOIN zone_rules r ON r.organization_id = o.organization_id AND r.time_zone = o.time_zone
WHERE o.time_zone IS NOT NULL AND ($1::text IS NULL OR o.organization = $1) ORDER BY o.organization

-- name: insert_zone_rules
-- Records the rules that the days of an organization are counted by.
-- The rules of another zone replace them until the zone is fixed.
INSERT INTO zone_rules AS t (organization_id, time_zone, tz, changes)
SELECT organization_id, $2, $3, $4::bigint[] FROM organizations WHERE organization = $1
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()
WHERE t.time_zone <> excluded.time_zone

-- name: set_zone_rules
-- Replaces the recorded rules of an organization. A null release means that the rules are unknown.
INSERT INTO zone_rules (organization_id, time_zone, tz, changes) VALUES ($1, $2, $3, $4::bigint[])
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()

-- name: set_time_zone
-- Changes the zone of an organization. Only for a transaction that also moves its days.
UPDATE organizations SET time_zone = $2 WHERE organization_id = $1

-- name: insert_zone_change
-- Records that the days of an organization are days of another zone from now on.
INSERT INTO rebuilds (organization_id, time_zone) VALUES ($1, $2)

-- name: select_first_quarter_kept
-- The first UTC day for which quarters of an hour are kept.
SELECT min(to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_15m'::regclass

-- name: select_quarters_used
-- Quarters of an hour since 1970 in which an organization has usage, from an instant on.
SELECT DISTINCT (extract(epoch FROM bucket_at) / 900)::integer AS quarter FROM usage_15m WHERE organization_id = $1 AND bucket_at >= $2

-- name: sum_quarter_days
-- Sums of quarters of an hour by the days given for them.
SELECT m.day, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[]) AS m(quarter, day) ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 GROUP BY 1, 2

-- name: sum_moved_quarters
-- Sums of quarters of an hour that move from one day to another.
SELECT m.was, m.becomes, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[], $4::integer[]) AS m(quarter, was, becomes)
    ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 AND m.was <> m.becomes GROUP BY 1, 2, 3

-- name: sum_attributed_quarters
-- Sums of attributed usage by the days given for quarters of an hour.
SELECT m.day, l.attribution_id, l.series_id, sum(l.credits)::bigint AS credits, count(*) FILTER (WHERE l.corrects IS NULL) AS events
FROM usage_ledger l JOIN unnest($2::integer[], $3::integer[]) AS m(quarter, day)
    ON m.quarter = floor(extract(epoch FROM l.occurred_at) / 900)::integer
WHERE l.organization_id = $1 AND NOT l.held AND l.attribution_id IS NOT NULL GROUP BY 1, 2, 3

-- name: sum_moved_attributed_quarters
-- Sums of attributed usage that moves from one day to another, from an instant on.
SELECT m.was, m.becomes, l.attribution_id, l.series_id, sum(l.credits)::bigint AS credits, count(*) FILTER (WHERE l.corrects IS NULL) AS events
FROM usage_ledger l JOIN unnest($3::integer[], $4::integer[], $5::integer[]) AS m(quarter, was, becomes)
    ON m.quarter = floor(extract(epoch FROM l.occurred_at) / 900)::integer
WHERE l.organization_id = $1 AND NOT l.held AND l.attribution_id IS NOT NULL AND l.occurred_at >= $2 AND m.was <> m.becomes GROUP BY 1, 2, 3, 4

-- name: sum_corrected_quarters
-- Credits and number of corrections, by quarter of an hour since 1970, from an instant on.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, series_id, sum(credits)::bigint AS credits, count(*) AS events
FROM usage_ledger WHERE organization_id = $1 AND NOT held AND corrects IS NOT NULL AND occurred_at >= $2 GROUP BY 1, 2

-- name: sum_late_quarters
-- Usage received in a later quarter of an hour than it counts in, from an instant on. Its credits include corrections.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, floor(extract(epoch FROM received_at) / 900)::integer AS received_quarter,
    s.product, sum(credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events
FROM usage_ledger l JOIN usage_series s USING (organization_id, series_id)
WHERE l.organization_id = $1 AND NOT held AND occurred_at >= $2
    AND floor(extract(epoch FROM received_at) / 900) > floor(extract(epoch FROM occurred_at) / 900)
GROUP BY 1, 2, 3

-- name: delete_organization_days
-- Deletes the daily rows of an organization, which are re-created from the days of its series.
DELETE FROM usage_organization_daily WHERE organization_id = $1

-- name: insert_organization_days
-- Inserts the daily rows of an organization from those of its series, all of them with partition 0.
INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)
SELECT organization_id, day, product, 0, sum(credits)::bigint, sum(events)::bigint
FROM usage_daily JOIN usage_series USING (organization_id, series_id) WHERE organization_id = $1 GROUP BY 1, 2, 3

-- name: delete_organization_months
-- Deletes the monthly rows of an organization, which are re-created from its days.
DELETE FROM usage_organization_monthly WHERE organization_id = $1

-- name: insert_organization_months
-- Inserts the monthly rows of an organization from its days.
INSERT INTO usage_organization_monthly (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
FROM usage_organization_daily WHERE organization_id = $1 GROUP BY 1, 2, 3, 4
