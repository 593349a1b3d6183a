-- Compares rollups with the log at one snapshot, and corrects them. Used by the command `rebuild` only.

-- name: try_rebuild_lock
-- Allows one rebuild at a time, and prevents partitions from being dropped; the session holds the lock.
SELECT pg_try_advisory_lock(hashtext('flexcredits.rebuild'))

-- name: export_snapshot
-- Exports the snapshot of this transaction under a name that other transactions use.
SELECT pg_export_snapshot()

-- name: select_all_organizations
-- All organizations with a known zone.
SELECT organization, organization_id, time_zone FROM organizations WHERE time_zone IS NOT NULL

-- name: select_all_series
-- All series of these organizations, with their dimensions as usage names them.
SELECT series_id, o.organization, product, feature_kind, feature, agent_id, surface
FROM usage_series s JOIN organizations o USING (organization_id) WHERE organization_id = ANY($1::integer[])

-- name: select_last_hours
-- The end of the last hour in which each partition received a record.
SELECT partition, max(hour_at) + interval '1 hour' AS ended_at FROM partition_hours WHERE topic = $1 GROUP BY 1

-- name: select_dispositions
-- Ledger rows of these identities in one ledger partition.
SELECT ledger_bucket, identity, organization_id, series_id, extract(epoch FROM occurred_at)::float8 AS occurred, credits, rate_id, held,
    kafka_partition, kafka_offset, quantities
FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])

-- name: select_dead_letters
-- The records, of these, that are dead letters.
SELECT d.partition, d.kafka_offset FROM unnest($2::integer[], $3::bigint[]) AS d(partition, kafka_offset)
JOIN dead_letter_outbox o ON o.topic = $1 AND o.partition = d.partition AND o.kafka_offset = d.kafka_offset

-- name: select_rejected_corrections
-- The identities, of these, of corrections that are dead letters.
SELECT DISTINCT identity FROM dead_letter_outbox WHERE topic = $1 AND identity = ANY($2::uuid[]) AND pointer = '/data/corrects'

-- name: select_aside
-- The records, of these, that wait in quarantine.
SELECT partition, kafka_offset FROM quarantined_records
WHERE topic = $1 AND (partition, kafka_offset) IN (SELECT * FROM unnest($2::integer[], $3::bigint[]))

-- name: sum_counted
-- Counted ledger rows between two instants, by quarter of an hour. The caller computes their local days.
SELECT organization_id, floor(extract(epoch FROM occurred_at) / 900)::integer AS quarter,
    count(*) AS events, sum(credits)::bigint AS credits
FROM usage_ledger WHERE NOT held AND organization_id = ANY($1::integer[]) AND occurred_at >= $2 AND occurred_at < $3 GROUP BY 1, 2

-- name: select_live_quarters
-- Quarter-hour rows between two instants.
SELECT organization_id, (extract(epoch FROM bucket_at) / 900)::integer AS quarter, series_id, credits, events
FROM usage_15m WHERE organization_id = ANY($1::integer[]) AND bucket_at >= $2 AND bucket_at < $3

-- name: select_live_days
-- Daily rows of these days.
SELECT organization_id, day - date '1970-01-01' AS day, series_id, credits, events
FROM usage_daily WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3

-- name: select_live_organization_days
-- Daily rows of the organizations for these days.
SELECT organization_id, day - date '1970-01-01' AS day, product, kafka_partition, credits, events
FROM usage_organization_daily WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3

-- name: select_live_corrections
-- Credits and numbers of corrections for these days.
SELECT organization_id, day - date '1970-01-01' AS day, series_id, credits, corrections AS events
FROM usage_corrections WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3

-- name: select_live_late
-- Late usage of these days.
SELECT organization_id, day - date '1970-01-01' AS day, received_on - date '1970-01-01' AS received_day, product, credits, events
FROM usage_late WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3

-- name: select_month_rests
-- Differences between the sums of days and the months that touch these days.
SELECT organization_id, month - date '1970-01-01' AS month, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM (
    SELECT organization_id, date_trunc('month', day)::date AS month, series_id, credits, events FROM usage_daily
    WHERE organization_id = ANY($1::integer[]) AND day >= date_trunc('month', $2::date)::date
        AND day < (date_trunc('month', $3::date) + interval '1 month')::date
    UNION ALL
    SELECT organization_id, month, series_id, -credits, -events FROM usage_monthly
    WHERE organization_id = ANY($1::integer[]) AND month BETWEEN date_trunc('month', $2::date)::date AND $3
) AS grains
GROUP BY 1, 2, 3 HAVING sum(credits) <> 0 OR sum(events) <> 0

-- name: select_organization_month_rests
-- Differences between the sums of the organizations' days and their months that touch these days.
SELECT organization_id, month - date '1970-01-01' AS month, product, kafka_partition,
    sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM (
    SELECT organization_id, date_trunc('month', day)::date AS month, product, kafka_partition, credits, events FROM usage_organization_daily
    WHERE organization_id = ANY($1::integer[]) AND day >= date_trunc('month', $2::date)::date
        AND day < (date_trunc('month', $3::date) + interval '1 month')::date
    UNION ALL
    SELECT organization_id, month, product, kafka_partition, -credits, -events FROM usage_organization_monthly
    WHERE organization_id = ANY($1::integer[]) AND month BETWEEN date_trunc('month', $2::date)::date AND $3
) AS grains
GROUP BY 1, 2, 3, 4 HAVING sum(credits) <> 0 OR sum(events) <> 0

-- name: forget_empty_rows
-- Deletes rows of these organizations whose sums are zero, between two instants and the days around them.
WITH quarters AS (
    DELETE FROM usage_15m WHERE organization_id = ANY($1::integer[]) AND bucket_at >= $2 AND bucket_at < $3 AND credits = 0 AND events = 0
), days AS (
    DELETE FROM usage_daily WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
), organization_days AS (
    DELETE FROM usage_organization_daily WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
), months AS (
    DELETE FROM usage_monthly WHERE organization_id = ANY($1::integer[]) AND credits = 0 AND events = 0
), organization_months AS (
    DELETE FROM usage_organization_monthly WHERE organization_id = ANY($1::integer[]) AND credits = 0 AND events = 0
), corrections AS (
    DELETE FROM usage_corrections WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND corrections = 0
)
DELETE FROM usage_late WHERE organization_id = ANY($1::integer[])
    AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0

-- name: insert_rebuild
-- Records the organizations and days whose rollups were corrected.
INSERT INTO rebuilds (organization_id, first_on, last_on) SELECT unnest($1::integer[]), $2, $3

-- name: note_rebuild_failures
-- Records organizations that a rebuild left out.
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
SELECT o.organization_id, 'rebuild', 'rebuild', d.reason, 'infinity'
FROM unnest($1::text[], $2::text[]) AS d(organization, reason) JOIN organizations o USING (organization) ORDER BY 1
ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1, failed_last_at = now()

-- name: end_rebuild_failures
-- Deletes the failures of organizations that a rebuild has compared.
DELETE FROM quarantine WHERE component = 'rebuild' AND organization_id = ANY($1::integer[])
