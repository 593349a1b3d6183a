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

-- name: select_held_organizations
-- Organizations after $1 with usage that may be released, but not those whose release failed recently.
-- The walk takes one step through an index for each organization, independent of the number of its events. A statement
-- without a parameter would keep its plan.
WITH RECURSIVE walk (organization_id) AS (
    SELECT $1::integer
    UNION ALL
    SELECT next.organization_id
    FROM walk CROSS JOIN LATERAL (
        SELECT organization_id FROM usage_held WHERE waits_for <> 'sum_limit' AND organization_id > walk.organization_id
        ORDER BY organization_id NULLS FIRST LIMIT 1) AS next
)
SELECT o.organization_id, o.organization, o.time_zone FROM walk JOIN organizations o USING (organization_id)
WHERE organization_id > $1 AND NOT EXISTS (
    SELECT FROM quarantine q WHERE (q.organization_id, q.component, q.step) = (o.organization_id, 'aggregator', 'release') AND q.retry_at > now())

-- name: select_held_kinds
-- The next $4 kinds of held usage of an organization after ($2, $3): the rate that a kind waits for, and its series.
-- The walk takes one step through an index for each kind, independent of the number of its events.
WITH RECURSIVE walk (rate_key, series_id, unit, own_feature, steps) AS (
    SELECT $2::text COLLATE "C", $3::integer, NULL, NULL, 0
    UNION ALL
    SELECT next.rate_key, next.series_id, next.unit, next.feature, walk.steps + 1
    FROM walk CROSS JOIN LATERAL (
        SELECT rate_key, series_id, unit, feature FROM usage_held
        WHERE organization_id = $1 AND waits_for <> 'sum_limit' AND (rate_key, series_id) > (walk.rate_key, walk.series_id)
        ORDER BY rate_key, series_id, kafka_partition NULLS FIRST LIMIT 1) AS next
    WHERE walk.steps < $4
)
SELECT w.rate_key, series_id, w.unit, CASE WHEN w.unit IS NOT NULL THEN w.own_feature END AS own_feature, s.product, s.feature_kind, s.feature, s.agent_id, s.surface
FROM walk w JOIN usage_series s USING (series_id) WHERE w.steps > 0 ORDER BY w.steps

-- name: select_held_portion
-- The first $6 held events of these kinds, kind by kind and in Kafka order, each kind after a place ($4, $5).
-- It locks nothing. A nested loop keeps the order of the kinds, and ends with the limit.
SELECT kind.position, h.ledger_bucket, h.identity, h.series_id, h.kafka_partition, h.kafka_offset, h.occurred, h.corrects_bucket, h.corrects
FROM unnest($2::text[], $3::integer[], $4::integer[], $5::bigint[])
    WITH ORDINALITY AS kind(rate_key, series_id, kafka_partition, kafka_offset, position)
CROSS JOIN LATERAL (
    SELECT ledger_bucket, identity, series_id, kafka_partition, kafka_offset, extract(epoch FROM occurred_at)::float8 AS occurred,
        corrects_bucket, corrects
    FROM usage_held
    WHERE organization_id = $1 AND waits_for <> 'sum_limit' AND rate_key = kind.rate_key AND series_id = kind.series_id
        AND (kafka_partition, kafka_offset) > (kind.kafka_partition, kind.kafka_offset)
    ORDER BY kafka_partition NULLS FIRST, kafka_offset LIMIT $6) AS h
LIMIT $6

-- name: select_held_originals
-- Events that corrections refer to, in one ledger partition, and whether their corrections wait for them.
SELECT identity, series_id, held AND corrects IS NULL AS is_waiting FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[])

-- name: lock_held
-- Locks held usage that may be released.
-- Skips rows that another aggregator is releasing, and rows beyond the limit of sums, which only an operator retries.
SELECT h.ledger_bucket, h.identity, organization_id, series_id, extract(epoch FROM occurred_at)::float8 AS occurred, credits, quantity,
    unit, kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value,
    extract(epoch FROM received_at)::float8 AS received, attribution_id, run, run_id, parent_id, quantities, feature
FROM unnest($1::integer[], $2::uuid[]) AS d(ledger_bucket, identity)
JOIN usage_held h ON h.ledger_bucket = d.ledger_bucket AND h.identity = d.identity
WHERE waits_for <> 'sum_limit' FOR UPDATE OF h SKIP LOCKED

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
