-- The rules by which an organization's days are counted, and its days counted by other rules.

-- name: select_zone_rules
-- By which rules the days of these organizations (null: of all) were counted. No row: nobody recorded them. is_used is
-- computed only where there is no release.
SELECT o.organization_id, o.organization, o.time_zone, r.organization_id IS NOT NULL AS is_recorded, r.tz, r.changes,
    r.tz IS NULL AND EXISTS (SELECT FROM usage_organization_daily d WHERE d.organization_id = o.organization_id) AS is_used
FROM organizations o LEFT JOIN zone_rules r ON r.organization_id = o.organization_id AND r.time_zone = o.time_zone
WHERE o.time_zone IS NOT NULL AND ($1::text IS NULL OR o.organization = $1) ORDER BY o.organization

-- name: insert_zone_rules
-- The rules by which an organization's days are counted. Another zone's rules replace them until the zone is fixed.
INSERT INTO zone_rules AS t (organization_id, time_zone, tz, changes)
SELECT organization_id, $2, $3, $4::bigint[] FROM organizations WHERE organization = $1
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()
WHERE t.time_zone <> excluded.time_zone

-- name: set_zone_rules
-- By which rules an organization's days are counted, whatever was written down before; without a release nobody knows.
INSERT INTO zone_rules (organization_id, time_zone, tz, changes) VALUES ($1, $2, $3, $4::bigint[])
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()

-- name: set_time_zone
-- Only beside its days being moved.
UPDATE organizations SET time_zone = $2 WHERE organization_id = $1

-- name: insert_zone_change
-- An organization's days are those of another zone from now on.
INSERT INTO rebuilds (organization_id, time_zone) VALUES ($1, $2)

-- name: select_first_quarter_kept
-- The first day, UTC, of which quarters of an hour are kept.
SELECT min(to_date(substring(c.relname FROM '^usage_15m_(\d{6})$'), 'YYYYMM'))
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_15m'::regclass

-- name: select_quarters_used
-- Quarters of an hour since 1970 in which an organization used something.
SELECT DISTINCT (extract(epoch FROM bucket_at) / 900)::integer AS quarter FROM usage_15m WHERE organization_id = $1

-- name: sum_quarter_days
-- What quarters of an hour come to by the days given for them.
SELECT m.day, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[]) AS m(quarter, day) ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 GROUP BY 1, 2

-- name: sum_moved_quarters
-- What moves from a day to another with its quarters of an hour.
SELECT m.was, m.becomes, q.series_id, sum(q.credits)::bigint AS credits, sum(q.events)::bigint AS events
FROM usage_15m q JOIN unnest($2::integer[], $3::integer[], $4::integer[]) AS m(quarter, was, becomes)
    ON q.bucket_at = to_timestamp(m.quarter * 900.0)
WHERE q.organization_id = $1 AND m.was <> m.becomes GROUP BY 1, 2, 3

-- name: sum_corrected_quarters
-- What corrections come to, and how many they are, by quarter of an hour since 1970.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, series_id, sum(credits)::bigint AS credits, count(*) AS events
FROM usage_ledger WHERE organization_id = $1 AND NOT held AND corrects IS NOT NULL GROUP BY 1, 2

-- name: sum_late_quarters
-- What came in a later quarter of an hour than it counts in; corrections are part of it and are no events.
SELECT floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter, floor(extract(epoch FROM received_at) / 900)::integer AS received_quarter,
    s.product, sum(credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events
FROM usage_ledger l JOIN usage_series s USING (organization_id, series_id)
WHERE l.organization_id = $1 AND NOT held AND floor(extract(epoch FROM received_at) / 900) > floor(extract(epoch FROM occurred_at) / 900)
GROUP BY 1, 2, 3

-- name: delete_organization_days
-- Before they are re-created from the days of the series.
DELETE FROM usage_organization_daily WHERE organization_id = $1

-- name: insert_organization_days
-- An organization's days from those of its series, all of them as if they came from partition 0.
INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)
SELECT organization_id, day, product, 0, sum(credits)::bigint, sum(events)::bigint
FROM usage_daily JOIN usage_series USING (organization_id, series_id) WHERE organization_id = $1 GROUP BY 1, 2, 3

-- name: delete_organization_months
-- Before they are re-created from the days.
DELETE FROM usage_organization_monthly WHERE organization_id = $1

-- name: insert_organization_months
-- An organization's months from its days.
INSERT INTO usage_organization_monthly (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
FROM usage_organization_daily WHERE organization_id = $1 GROUP BY 1, 2, 3, 4
