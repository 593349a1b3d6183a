-- Usage that waits for a catalog event, for its original, or for room below the limit of sums.

-- name: insert_held
-- Inserts usage that waits for a catalog event, its original, or room below the limit of sums.
INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, quantity, unit,
    kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, received_at, attribution_id, run, run_id, parent_id,
    quantities, feature)
SELECT ledger_bucket, identity, organization_id, series_id, to_timestamp(occurred), credits, quantity, unit,
    kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, to_timestamp(received),
    attribution_id, run, run_id, parent_id, quantities, feature
FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::integer[], $5::float8[], $6::bigint[], $7::bigint[], $8::text[],
    $9::integer[], $10::bigint[], $11::text[], $12::integer[], $13::uuid[], $14::bytea[], $15::float8[],
    $16::bigint[], $17::uuid[], $18::text[], $19::text[], $20::jsonb[], $21::text[])
    AS d(ledger_bucket, identity, organization_id, series_id, occurred, credits, quantity, unit,
         kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, received, attribution_id, run, run_id, parent_id,
         quantities, feature)

-- name: select_releasable
-- Kinds of held usage that the sweep checks before it reads rows. Kinds that failed recently are not retried yet.
SELECT DISTINCT h.organization_id, o.organization, o.time_zone, h.series_id, h.unit,
    s.product, s.feature_kind, s.feature, s.agent_id, s.surface
FROM usage_held h JOIN organizations o USING (organization_id) JOIN usage_series s USING (series_id)
WHERE h.waits_for <> 'sum_limit' AND NOT EXISTS (
    SELECT FROM quarantine q WHERE (q.organization_id, q.component, q.step) = (h.organization_id, 'aggregator', 'release') AND q.retry_at > now())

-- name: has_held_feature
-- Whether this held usage, of a series that stands for others, has one of these features.
SELECT EXISTS (SELECT FROM usage_held WHERE organization_id = $1 AND series_id = $2 AND waits_for <> 'sum_limit' AND unit = $3
    AND feature IN (SELECT unnest($4::text[]))) AS has_feature

-- name: select_held_partitions
-- Kafka partitions of this held usage, in lock order.
SELECT DISTINCT kafka_partition FROM usage_held
WHERE organization_id = $1 AND series_id = $2 AND waits_for <> 'sum_limit' ORDER BY 1

-- name: lock_held
-- Locks the next held usage of one series from these partitions, in Kafka order.
-- Skips rows that another aggregator is releasing, and rows beyond the limit of sums, which only an operator retries.
SELECT ledger_bucket, identity, organization_id, series_id, extract(epoch FROM occurred_at)::float8 AS occurred, credits, quantity,
    unit, kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value,
    extract(epoch FROM received_at)::float8 AS received, attribution_id, run, run_id, parent_id, quantities, feature
FROM usage_held
WHERE organization_id = $1 AND series_id = $2 AND waits_for <> 'sum_limit' AND kafka_partition = ANY($3::integer[])
    AND (kafka_partition, kafka_offset) > ($4, $5)
ORDER BY kafka_partition, kafka_offset LIMIT $6 FOR UPDATE SKIP LOCKED

-- name: await_unit
-- Names the unit whose rate usage with several quantities waits for now.
UPDATE usage_held AS h SET waits_for = 'rate', unit = d.unit
FROM unnest($1::integer[], $2::uuid[], $3::text[]) AS d(ledger_bucket, identity, unit)
WHERE h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity AND h.unit IS DISTINCT FROM d.unit

-- name: limit_held
-- Marks usage that no sum can take; it waits until an operator retries it.
UPDATE usage_held AS h SET waits_for = 'sum_limit' FROM unnest($1::integer[], $2::uuid[]) AS d(ledger_bucket, identity)
WHERE h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity

-- name: unlimit_held
-- Retries a portion of the usage beyond the limit of sums, at the request of an operator.
-- Returns the last place of the portion, or no row at the end.
WITH portion AS MATERIALIZED (
    SELECT ledger_bucket, identity, series_id, kafka_partition, kafka_offset FROM usage_held
    WHERE organization_id = $1 AND waits_for = 'sum_limit' AND (series_id, kafka_partition, kafka_offset) > ($2, $3, $4)
    ORDER BY series_id, kafka_partition, kafka_offset LIMIT $5 FOR UPDATE
), asked AS (
    UPDATE usage_held h SET waits_for = 'rate' FROM portion p WHERE (h.ledger_bucket, h.identity) = (p.ledger_bucket, p.identity)
)
SELECT series_id, kafka_partition, kafka_offset FROM portion ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1

-- name: count_held_ledger
-- Marks held ledger rows of one ledger partition as counted.
-- A correction gets the series, the attribution and the run of its original only now.
UPDATE usage_ledger AS l SET held = false, credits = d.credits, rate_id = d.rate_id, attribution_id = d.attribution_id, run = d.run,
    quantities = d.quantities, series_id = d.series_id
FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::uuid[], $7::jsonb[], $8::integer[])
    AS d(identity, credits, rate_id, attribution_id, run, quantities, series_id)
WHERE l.ledger_bucket = $1 AND l.identity = ANY($2::uuid[]) AND l.identity = d.identity

-- name: delete_held_ledger
-- Deletes the ledger rows of held corrections that were rejected, so that their identity is free.
DELETE FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])

-- name: delete_held
-- Deletes usage that no longer waits.
DELETE FROM usage_held AS h USING unnest($1::integer[], $2::uuid[]) AS d(ledger_bucket, identity)
WHERE h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity
