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
    kafka_partition, kafka_offset, quantities, attribution_id, run
FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])

-- name: select_dead_letters
-- The records, of these, that are dead letters.
SELECT d.partition, d.kafka_offset FROM unnest($2::integer[], $3::bigint[]) AS d(partition, kafka_offset)
JOIN dead_letter_outbox o ON o.topic = $1 AND o.partition = d.partition AND o.kafka_offset = d.kafka_offset

-- name: select_rejected_identities
-- The identities, of these, of events that were rejected for what they correct, or for their rate.
-- They may have been held before.
SELECT DISTINCT identity FROM dead_letter_outbox
WHERE topic = $1 AND identity = ANY($2::uuid[]) AND (pointer = '/data/corrects' OR pointer LIKE '/data/quantit%')

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

-- name: select_live_attributed_days
-- Daily rows of attributed usage for these days.
SELECT organization_id, day - date '1970-01-01' AS day, attribution_id, series_id, credits, events
FROM usage_attributed_daily WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3

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

-- name: select_attributed_month_rests
-- Differences between the sums of attributed days and their months that touch these days.
SELECT organization_id, month - date '1970-01-01' AS month, attribution_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM (
    SELECT organization_id, date_trunc('month', day)::date AS month, attribution_id, credits, events FROM usage_attributed_daily
    WHERE organization_id = ANY($1::integer[]) AND day >= date_trunc('month', $2::date)::date
        AND day < (date_trunc('month', $3::date) + interval '1 month')::date
    UNION ALL
    SELECT organization_id, month, attribution_id, -credits, -events FROM usage_attributed_monthly
    WHERE organization_id = ANY($1::integer[]) AND month BETWEEN date_trunc('month', $2::date)::date AND $3
) AS grains
GROUP BY 1, 2, 3 HAVING sum(credits) <> 0 OR sum(events) <> 0

-- name: select_touched_runs
-- Runs with a use or a live row in the span of their organization: all their rows in the ledger, and the live row.
WITH spans AS (
    SELECT organization_id, begins_at, ends_at
    FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) AS d(organization_id, begins_at, ends_at)
), touched AS (
    SELECT organization_id, run FROM spans JOIN usage_ledger USING (organization_id)
    WHERE run IS NOT NULL AND NOT held AND occurred_at >= begins_at AND occurred_at < ends_at
    UNION
    SELECT organization_id, run FROM spans JOIN usage_runs USING (organization_id) WHERE first_at < ends_at AND last_at >= begins_at
), counted AS (
    SELECT l.organization_id, l.run, sum(credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events,
        min(occurred_at) FILTER (WHERE corrects IS NULL) AS first_at, max(occurred_at) FILTER (WHERE corrects IS NULL) AS last_at,
        (array_agg(ARRAY[agent_id, coalesce(attribution_id, 0)::text] ORDER BY occurred_at, agent_id COLLATE "C", coalesce(attribution_id, 0))
            FILTER (WHERE corrects IS NULL))[1:1] AS first_use
    FROM touched t JOIN usage_ledger l USING (organization_id, run) JOIN usage_series USING (organization_id, series_id)
    WHERE NOT held GROUP BY 1, 2
)
SELECT t.organization_id, t.run, c.credits, c.events, c.first_at, c.last_at, c.first_use[1][1] AS agent_id,
    c.first_use[1][2]::bigint AS attribution_id, r.run_id AS live_run_id, r.parent_id AS live_parent_id, r.credits AS live_credits,
    r.events AS live_events, r.first_at AS live_first_at, r.last_at AS live_last_at, r.agent_id AS live_agent_id,
    r.attribution_id AS live_attribution_id
FROM touched t LEFT JOIN counted c USING (organization_id, run) LEFT JOIN usage_runs r USING (organization_id, run)

-- name: make_run_names
-- Creates the table of ids and parents of runs in the log, for one rebuild.
CREATE TEMPORARY TABLE run_names (
    organization_id integer NOT NULL, run uuid NOT NULL, run_id text NOT NULL, parent_id text NOT NULL, PRIMARY KEY (organization_id, run)
)

-- name: note_run_names
-- Adds ids and parents of runs; the largest parent stays.
INSERT INTO run_names AS t (organization_id, run, run_id, parent_id)
SELECT organization_id, run, run_id, parent_id FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[])
    AS d(organization_id, run, run_id, parent_id)
ON CONFLICT (organization_id, run) DO UPDATE SET parent_id = greatest(t.parent_id COLLATE "C", excluded.parent_id COLLATE "C")

-- name: forget_run_names
-- Deletes the runs of an organization that is left out.
DELETE FROM run_names WHERE organization_id = $1

-- name: select_run_names
-- Ids and largest parents of these runs.
SELECT organization_id, run, run_id, parent_id FROM unnest($1::integer[], $2::uuid[]) AS d(organization_id, run)
JOIN run_names USING (organization_id, run)

-- name: add_attributed_month_rests
-- Adds to the months of attributed usage alone, where they are not the sum of their days.
INSERT INTO usage_attributed_monthly AS t (organization_id, month, attribution_id, credits, events)
SELECT organization_id, date '1970-01-01' + month, attribution_id, credits, events
FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS d(organization_id, month, attribution_id, credits, events)
ORDER BY organization_id, month, attribution_id
ON CONFLICT (organization_id, month, attribution_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events

-- name: insert_missing_runs
-- Creates the rows of runs that have none, so that they can be locked.
INSERT INTO usage_runs (organization_id, run, run_id, parent_id, credits, events, first_at, last_at, agent_id, attribution_id)
SELECT organization_id, run, run_id, parent_id, 0, 0, now(), now(), '', 0
FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[]) AS d(organization_id, run, run_id, parent_id)
ORDER BY organization_id, run ON CONFLICT DO NOTHING

-- name: lock_runs
-- Locks runs. What was counted for them before is in the ledger, and what comes later is added to their rows.
SELECT FROM usage_runs JOIN unnest($1::integer[], $2::uuid[]) AS d(organization_id, run) USING (organization_id, run)
ORDER BY organization_id, run FOR UPDATE OF usage_runs

-- name: recount_runs
-- Replaces runs by the sums of the ledger.
-- The ledger has no parents: if a use was counted since the snapshot, the largest one stays.
UPDATE usage_runs AS t SET run_id = d.run_id, credits = c.credits, events = c.events, first_at = c.first_at, last_at = c.last_at,
    agent_id = c.first_use[1][1], attribution_id = c.first_use[1][2]::bigint,
    parent_id = CASE WHEN c.events = d.events THEN d.parent_id ELSE greatest(t.parent_id COLLATE "C", d.parent_id COLLATE "C") END
FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::bigint[]) AS d(organization_id, run, run_id, parent_id, events)
CROSS JOIN LATERAL (
    SELECT sum(l.credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events,
        min(occurred_at) FILTER (WHERE corrects IS NULL) AS first_at, max(occurred_at) FILTER (WHERE corrects IS NULL) AS last_at,
        (array_agg(ARRAY[s.agent_id, coalesce(l.attribution_id, 0)::text] ORDER BY occurred_at, s.agent_id COLLATE "C", coalesce(l.attribution_id, 0))
            FILTER (WHERE corrects IS NULL))[1:1] AS first_use
    FROM usage_ledger l JOIN usage_series s USING (organization_id, series_id)
    WHERE l.organization_id = d.organization_id AND l.run = d.run AND NOT held
) AS c
WHERE (t.organization_id, t.run) = (d.organization_id, d.run) AND c.events > 0

-- name: delete_unknown_runs
-- Deletes runs, of these, of which the ledger counts nothing.
DELETE FROM usage_runs AS t USING unnest($1::integer[], $2::uuid[]) AS d(organization_id, run)
WHERE (t.organization_id, t.run) = (d.organization_id, d.run)
    AND NOT EXISTS (SELECT FROM usage_ledger l WHERE l.organization_id = d.organization_id AND l.run = d.run AND NOT l.held)

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
), attributed_days AS (
    DELETE FROM usage_attributed_daily WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
), attributed_months AS (
    DELETE FROM usage_attributed_monthly WHERE organization_id = ANY($1::integer[]) AND credits = 0 AND events = 0
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
