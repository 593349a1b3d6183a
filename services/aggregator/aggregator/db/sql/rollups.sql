-- Sums over the ledger. The tables are locked in the order of progress.sql, rows by their keys: the caller sorts the rows
-- of add_quarters, add_days, add_months and add_attributed_days.

-- name: lock_room
-- Locks the room of an organization near the limit of its sums, so that one batch at a time counts for it.
SELECT pg_advisory_xact_lock($1::integer, $2::integer)

-- name: sum_gross
-- An upper bound of any sum of the rows of an organization: its months, and twice its corrections.
-- Corrections count twice because the sums of months may hide them.
SELECT o.organization_id,
    (SELECT coalesce(sum(abs(credits)), 0) FROM usage_organization_monthly m WHERE m.organization_id = o.organization_id)
    + 2 * (SELECT coalesce(sum(abs(credits)), 0) FROM usage_corrections c WHERE c.organization_id = o.organization_id) AS gross
FROM unnest($1::integer[]) AS o(organization_id)

-- name: select_quarter_partitions
-- The months, of these, that have a partition of the quarter-hour rollup now.
SELECT month FROM unnest($1::date[]) AS month WHERE to_regclass('usage_15m_' || to_char(month, 'YYYYMM')) IS NOT NULL

-- name: plan_by_index
-- Lets the next statements find rows by index: an estimate must not make MERGE read years of days.
-- Returns whether this session has incoming_sums already.
SELECT to_regclass('pg_temp.incoming_sums') IS NOT NULL AS has_incoming,
    set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)

-- name: plan_as_usual
-- Ends plan_by_index.
-- Without hash joins, a plan made for an empty partition compares each correction of a batch with each row that it has later.
SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)

-- name: make_incoming
-- Creates the table through which this session passes sums to add_quarters, add_days and add_months.
-- COPY of a row into it costs a fifth of five arrays as parameters. A pool replaces a session after 50,000 statements, so
-- the table never becomes so old that it keeps transaction numbers from being reused. A pooler's session may be that of an
-- earlier release, so other columns need another name: tests/aggregator/test_sessions.py.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_sums (
    part integer NOT NULL, organization_id integer NOT NULL, period integer NOT NULL, series_id integer NOT NULL,
    credits bigint NOT NULL, events bigint NOT NULL
) ON COMMIT DELETE ROWS

-- name: make_attributed
-- Creates the table through which this session passes sums to add_attributed_days and merge_attributed_months.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_attributed (
    organization_id integer NOT NULL, period integer NOT NULL, attribution_id bigint NOT NULL, series_id integer NOT NULL,
    credits bigint NOT NULL, events bigint NOT NULL
) ON COMMIT DELETE ROWS

-- name: clear_incoming
-- Removes the rows of earlier sums of this transaction. There are none in a transaction that counts a batch.
DELETE FROM incoming_sums

-- name: add_quarters
-- Adds a part of incoming_sums to the quarter-hour rollup. The part has only newly counted events, by the ledger.
-- The aggregator names the partition of the month instead of usage_15m: the executor opens 18 partitions for the table.
-- MERGE costs half of INSERT ... ON CONFLICT. If another transaction adds a row that this one adds too, it fails (23505).
MERGE INTO usage_15m AS t USING (
    SELECT organization_id, to_timestamp(period * 900.0) AS bucket_at, series_id, credits, events
    FROM incoming_sums WHERE part = $1::integer
) AS d ON t.organization_id = d.organization_id AND t.bucket_at = d.bucket_at AND t.series_id = d.series_id
WHEN MATCHED THEN UPDATE SET credits = t.credits + d.credits, events = t.events + d.events
WHEN NOT MATCHED THEN INSERT (organization_id, bucket_at, series_id, credits, events)
    VALUES (d.organization_id, d.bucket_at, d.series_id, d.credits, d.events)

-- name: add_days
-- Adds a part of incoming_sums to the daily rollup, by days of the organization's zone. Fails as add_quarters does.
MERGE INTO usage_daily AS t USING (
    SELECT organization_id, date '1970-01-01' + period AS day, series_id, credits, events
    FROM incoming_sums WHERE part = $1::integer
) AS d ON t.organization_id = d.organization_id AND t.day = d.day AND t.series_id = d.series_id
WHEN MATCHED THEN UPDATE SET credits = t.credits + d.credits, events = t.events + d.events
WHEN NOT MATCHED THEN INSERT (organization_id, day, series_id, credits, events)
    VALUES (d.organization_id, d.day, d.series_id, d.credits, d.events)

-- name: add_months
-- Adds a part of incoming_sums to the monthly rollup. Fails as add_quarters does.
MERGE INTO usage_monthly AS t USING (
    SELECT organization_id, date '1970-01-01' + period AS month, series_id, credits, events
    FROM incoming_sums WHERE part = $1::integer
) AS d ON t.organization_id = d.organization_id AND t.month = d.month AND t.series_id = d.series_id
WHEN MATCHED THEN UPDATE SET credits = t.credits + d.credits, events = t.events + d.events
WHEN NOT MATCHED THEN INSERT (organization_id, month, series_id, credits, events)
    VALUES (d.organization_id, d.month, d.series_id, d.credits, d.events)

-- name: add_organization_days
-- Adds to the organization's days and months; returns the organizations with a sum above 10^13.
-- The partition in the key keeps two aggregators off each other's rows. Below 10^13, 100,000 rows together cannot reach
-- the limit of sums.
WITH d AS MATERIALIZED (
    SELECT organization_id, date '1970-01-01' + day AS day, product, kafka_partition, credits, events
    FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS d(organization_id, day, product, kafka_partition, credits, events)
), days AS (
    INSERT INTO usage_organization_daily AS t (organization_id, day, product, kafka_partition, credits, events)
    SELECT organization_id, day, product, kafka_partition, credits, events FROM d
    ORDER BY organization_id, day, product, kafka_partition
    ON CONFLICT (organization_id, day, product, kafka_partition)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
    RETURNING organization_id, credits
), months AS (
    INSERT INTO usage_organization_monthly AS t (organization_id, month, product, kafka_partition, credits, events)
    SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
    FROM d GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, month, product, kafka_partition)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
    RETURNING organization_id, credits
)
SELECT DISTINCT organization_id FROM (SELECT * FROM days UNION ALL SELECT * FROM months) AS sums
WHERE abs(credits) > 10000000000000

-- name: add_organization_months
-- Adds to the organization's months alone, where they are not the sum of their days.
INSERT INTO usage_organization_monthly AS t (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date '1970-01-01' + month, product, kafka_partition, credits, events
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
    AS d(organization_id, month, product, kafka_partition, credits, events)
ORDER BY organization_id, month, product, kafka_partition
ON CONFLICT (organization_id, month, product, kafka_partition)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events

-- name: add_corrections
-- Adds the part of the daily rollup that comes from corrections.
INSERT INTO usage_corrections AS t (organization_id, day, series_id, credits, corrections)
SELECT organization_id, date '1970-01-01' + day, series_id, credits, corrections
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
    AS d(organization_id, day, series_id, credits, corrections)
ORDER BY organization_id, day, series_id
ON CONFLICT (organization_id, day, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, corrections = t.corrections + excluded.corrections

-- name: add_late
-- Adds usage that was received on a later day than the one that it counts in.
INSERT INTO usage_late AS t (organization_id, day, received_on, product, credits, events)
SELECT organization_id, date '1970-01-01' + day, date '1970-01-01' + received_day, product, credits, events
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[])
    AS d(organization_id, day, received_day, product, credits, events)
ORDER BY organization_id, day, received_day, product
ON CONFLICT (organization_id, day, received_on, product)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events

-- name: clear_attributed
-- Removes the rows of earlier sums of this transaction.
DELETE FROM incoming_attributed

-- name: add_attributed_days
-- Adds the part of the daily rollup that names an actor, a group or labels. Fails as add_quarters does.
MERGE INTO usage_attributed_daily AS t USING (
    SELECT organization_id, date '1970-01-01' + period AS day, attribution_id, series_id, credits, events
    FROM incoming_attributed WHERE series_id > 0
) AS d ON t.organization_id = d.organization_id AND t.day = d.day AND t.attribution_id = d.attribution_id AND t.series_id = d.series_id
WHEN MATCHED THEN UPDATE SET credits = t.credits + d.credits, events = t.events + d.events
WHEN NOT MATCHED THEN INSERT (organization_id, day, attribution_id, series_id, credits, events)
    VALUES (d.organization_id, d.day, d.attribution_id, d.series_id, d.credits, d.events)

-- name: merge_attributed_months
-- Adds to the months of attributed usage, from rows with series 0. Fails as add_quarters does.
MERGE INTO usage_attributed_monthly AS t USING (
    SELECT organization_id, date '1970-01-01' + period AS month, attribution_id, credits, events
    FROM incoming_attributed WHERE series_id = 0
) AS d ON t.organization_id = d.organization_id AND t.month = d.month AND t.attribution_id = d.attribution_id
WHEN MATCHED THEN UPDATE SET credits = t.credits + d.credits, events = t.events + d.events
WHEN NOT MATCHED THEN INSERT (organization_id, month, attribution_id, credits, events)
    VALUES (d.organization_id, d.month, d.attribution_id, d.credits, d.events)

-- name: add_attributed_months
-- As merge_attributed_months, for rows that another aggregator may add at the same time.
INSERT INTO usage_attributed_monthly AS t (organization_id, month, attribution_id, credits, events)
SELECT organization_id, date '1970-01-01' + period, attribution_id, credits, events
FROM incoming_attributed WHERE series_id = 0
ORDER BY organization_id, period, attribution_id
ON CONFLICT (organization_id, month, attribution_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events

-- name: add_runs
-- Adds uses and corrections to their runs.
-- A row without events has only corrections: the run exists, and keeps its other columns.
-- Any order of batches gives the same rows.
INSERT INTO usage_runs AS t (organization_id, run, run_id, parent_id, credits, events, first_at, last_at, agent_id, attribution_id)
SELECT d.organization_id, d.run, coalesce(r.run_id, d.run_id), coalesce(r.parent_id, d.parent_id), d.credits, d.events,
    coalesce(r.first_at, timestamptz '1970-01-01 00:00+00' + d.first_us * interval '1 microsecond'),
    coalesce(r.last_at, timestamptz '1970-01-01 00:00+00' + d.last_us * interval '1 microsecond'),
    coalesce(r.agent_id, d.agent_id), coalesce(r.attribution_id, d.attribution_id)
FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[])
    AS d(organization_id, run, credits, events, first_us, agent_id, attribution_id, last_us, run_id, parent_id)
LEFT JOIN LATERAL (SELECT * FROM usage_runs WHERE d.events = 0 AND organization_id = d.organization_id AND run = d.run) AS r ON true
WHERE d.events > 0 OR r.run IS NOT NULL
ORDER BY d.organization_id, d.run
ON CONFLICT (organization_id, run) DO UPDATE SET
    credits = t.credits + excluded.credits, events = t.events + excluded.events,
    parent_id = greatest(t.parent_id COLLATE "C", excluded.parent_id COLLATE "C"),
    first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
    agent_id = CASE WHEN (excluded.first_at, excluded.agent_id COLLATE "C", excluded.attribution_id)
        < (t.first_at, t.agent_id COLLATE "C", t.attribution_id) THEN excluded.agent_id ELSE t.agent_id END,
    attribution_id = CASE WHEN (excluded.first_at, excluded.agent_id COLLATE "C", excluded.attribution_id)
        < (t.first_at, t.agent_id COLLATE "C", t.attribution_id) THEN excluded.attribution_id ELSE t.attribution_id END

-- name: upsert_agent_sightings
-- Writes the kind in the latest usage of an agent, and the name in the latest usage that has one.
-- ever_saved stays true once the agent was a saved one.
INSERT INTO agent_sightings AS t (organization_id, agent_id, kind, name, ever_saved, seen_at, named_at)
SELECT organization_id, agent_id, kind, name, ever_saved, to_timestamp(seen), to_timestamp(named)
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::float8[], $7::float8[])
    AS d(organization_id, agent_id, kind, name, ever_saved, seen, named)
ON CONFLICT (organization_id, agent_id) DO UPDATE SET
    ever_saved = t.ever_saved OR excluded.ever_saved,
    kind = CASE WHEN excluded.seen_at > t.seen_at THEN excluded.kind ELSE t.kind END,
    name = CASE WHEN excluded.named_at > coalesce(t.named_at, '-infinity') THEN excluded.name ELSE t.name END,
    named_at = greatest(t.named_at, excluded.named_at),
    seen_at = greatest(t.seen_at, excluded.seen_at)
