-- How far Postgres has counted each partition, and the proof that every offset has one disposition.
--
-- Lock order of every transaction that counts: a batch, a release of held usage, a retry of quarantined records. Each
-- may skip steps. Within a step rows are locked in ascending order of their keys.
--
--  1. the catalog              lock_catalog_shared (batches) or lock_catalog (catalog events): an advisory lock
--  2. partition_progress       lock_progress
--  3. quarantine               lock_quarantined, lock_due, upsert_quarantine; new rows: insert_quarantined_records
--  4. partitions of the ledger lock_ledger: ROW EXCLUSIVE on usage_ledger; new rows: insert_strays
--  5. usage_held               lock_held; a batch only adds rows, after step 7
--  6. near the limit of sums   lock_room: an advisory lock for each organization
--  7. usage_ledger             COPY of columns, insert_ledger, lock_originals, add_corrected, count_held_ledger, delete_held_ledger
--  8. new rows                 insert_reasons, insert_held; under lock_room: upsert_quarantine for the step `sums`
--  9. rollups                  usage_15m, usage_daily, usage_monthly, usage_organization_daily,
--                              usage_organization_monthly, usage_corrections, usage_late, usage_attributed_daily,
--                              usage_attributed_monthly, usage_runs
-- 10. agent_sightings          upsert_agent_sightings
-- 11. new rows of outboxes     insert_dead_letters, insert_totals
-- 12. partition_hours          add_hours, resolve_hours; again rows of step 2: advance_progress, resolve_progress
--
-- Step 7 inserts in up to three passes: columns, other usage, corrections. If copies of one event come in two forms, to two
-- aggregators at once, the passes may meet in opposite orders: a deadlock (40P01), after which the batch is run again.
--
-- create_progress and mark_caught_up run in transactions of their own. mark_caught_up locks only rows of partition_ends, which
-- no other transaction locks for longer than one statement; it reads partition_progress without a lock.

-- name: create_progress
-- Creates the rows of new partitions, which start at offset 0.
WITH progress AS (INSERT INTO partition_progress (topic, partition) SELECT $1, unnest($2::integer[]) ON CONFLICT DO NOTHING)
INSERT INTO partition_ends (topic, partition) SELECT $1, unnest($2::integer[]) ON CONFLICT DO NOTHING

-- name: select_progress
-- Positions of the partitions, without a lock.
SELECT partition, next_offset FROM partition_progress WHERE topic = $1

-- name: lock_progress
-- The fence: an outdated owner waits here for the new owner, or vice versa, and then reads its position.
SELECT partition, next_offset FROM partition_progress
WHERE topic = $1 AND partition = ANY($2::integer[]) ORDER BY topic, partition FOR UPDATE

-- name: advance_progress
-- Moves positions; every offset below next_offset now has a disposition.
-- The check of the table rejects dispositions that do not add up.
UPDATE partition_progress AS p
SET next_offset = d.next_offset, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected, held = p.held + d.held, skipped = p.skipped + d.skipped, updated_at = clock_timestamp(),
    records_end = coalesce(d.records_end, p.records_end, p.next_offset),
    caught_up_at = greatest(p.caught_up_at, to_timestamp(d.received))
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::float8[])
    AS d(partition, next_offset, counted, duplicate, rejected, held, skipped, records_end, received)
WHERE p.topic = $1 AND p.partition = d.partition

-- name: resolve_progress
-- Records the later disposition of held offsets: counted, duplicate or rejected.
UPDATE partition_progress AS p
SET held = p.held - d.counted - d.duplicate - d.rejected, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected, updated_at = clock_timestamp()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d(partition, counted, duplicate, rejected)
WHERE p.topic = $1 AND p.partition = d.partition

-- name: add_hours
-- Adds the dispositions of records by partition and hour of receipt.
INSERT INTO partition_hours AS t (topic, partition, hour_at, counted, duplicate, rejected, held)
SELECT $1, partition, to_timestamp(hour * 3600.0), counted, duplicate, rejected, held
FROM unnest($2::integer[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS d(partition, hour, counted, duplicate, rejected, held)
ORDER BY partition, hour
ON CONFLICT (topic, partition, hour_at) DO UPDATE SET counted = t.counted + excluded.counted,
    duplicate = t.duplicate + excluded.duplicate, rejected = t.rejected + excluded.rejected, held = t.held + excluded.held

-- name: resolve_hours
-- Records the later disposition of held records, in the hour of their receipt: counted, duplicate or rejected.
UPDATE partition_hours AS p
SET held = p.held - d.counted - d.duplicate - d.rejected, counted = p.counted + d.counted, duplicate = p.duplicate + d.duplicate,
    rejected = p.rejected + d.rejected
FROM unnest($2::integer[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[]) AS d(partition, hour, counted, duplicate, rejected)
WHERE p.topic = $1 AND p.partition = d.partition AND p.hour_at = to_timestamp(d.hour * 3600.0)

-- name: select_received
-- The time after which no record before next_offset was appended, and the end of the records before it.
-- There are no records from records_end to next_offset.
SELECT partition, ceil(extract(epoch FROM greatest(caught_up_at, complete_to)) * 1000)::bigint AS received_ms,
    coalesce(records_end, next_offset) AS records_end
FROM partition_progress LEFT JOIN partition_ends USING (topic, partition)
WHERE topic = $1 AND next_offset > 0 AND greatest(caught_up_at, complete_to) IS NOT NULL

-- name: mark_caught_up
-- Records the end offsets of the logs at the instant $4.
-- Totals of a partition are complete to that instant if all offsets before the end are applied. The position is read without its
-- lock: it only grows, so an outdated one understates.
UPDATE partition_ends AS e SET end_offset = d.end_offset, end_seen_at = to_timestamp($4),
    complete_to = CASE WHEN p.next_offset >= d.end_offset THEN greatest(e.complete_to, to_timestamp($4)) ELSE e.complete_to END
FROM unnest($2::integer[], $3::bigint[]) AS d(partition, end_offset) JOIN partition_progress p USING (partition)
WHERE p.topic = $1 AND e.topic = $1 AND e.partition = d.partition AND (e.end_seen_at IS NULL OR e.end_seen_at < to_timestamp($4))

-- name: measure_watermark
-- The time up to which totals are complete in all partitions, and the numbers of held events and skipped offsets.
SELECT CASE WHEN bool_and(greatest(caught_up_at, complete_to) IS NOT NULL)
        THEN extract(epoch FROM min(greatest(caught_up_at, complete_to)))::float8 END AS complete_to,
    coalesce(sum(held), 0)::bigint AS held, coalesce(sum(skipped), 0)::bigint AS skipped
FROM partition_progress LEFT JOIN partition_ends USING (topic, partition) WHERE topic = $1

-- name: measure_tables
-- The age of held usage, whether all dispositions add up, how far partitions reach, and the size of the database.
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
    (SELECT records FROM aside) AS quarantined_records,
    (SELECT count(*) FROM (SELECT FROM ledger_strays WHERE id_day >= $2::date - 7 - date '1970-01-01'
        GROUP BY id_day HAVING count(*) > 100000) AS crowded) AS crowded_days
