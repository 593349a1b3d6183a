-- Outboxes that the relay publishes: totals and dead letters.

-- name: insert_totals
-- Records that the totals of these organizations changed.
INSERT INTO totals_outbox (organization_id) SELECT unnest($1::integer[])

-- name: insert_dead_letters
-- Inserts records that cannot be counted, once per record.
INSERT INTO dead_letter_outbox (topic, partition, kafka_offset, key, value, headers, reason, pointer, received_at, organization, identity)
SELECT $1, partition, kafka_offset, key, value, headers::json, reason, pointer, to_timestamp(received), organization, identity
FROM unnest($2::integer[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::text[], $11::uuid[])
    AS d(partition, kafka_offset, key, value, headers, reason, pointer, received, organization, identity)

-- name: try_relay_lock
-- Allows one relay at a time, so that totals are published in the order of their versions.
SELECT pg_try_advisory_xact_lock($1)

-- name: claim_totals
-- Takes rows from the outbox; they return if the transaction of the relay fails.
DELETE FROM totals_outbox WHERE totals_id IN (SELECT totals_id FROM totals_outbox ORDER BY totals_id LIMIT $1)
RETURNING organization_id, totals_id

-- name: select_totals
-- Credits of these organizations of all time, per product.
SELECT o.organization_id, o.organization, t.product, sum(t.credits)::bigint AS credits
FROM organizations o JOIN usage_organization_monthly t USING (organization_id)
WHERE o.organization_id = ANY($1::integer[]) GROUP BY 1, 2, 3

-- name: plan_each_time
-- Plans the statements of this transaction for the present size of their tables.
-- A plan that was made for an empty outbox would scan all of a full one.
SET LOCAL plan_cache_mode = 'force_custom_plan'

-- name: claim_dead_letters
-- Dead letters that are not published yet: at most $1, and none after those that have $2 bytes together.
-- A value is cut to its first $3 bytes. Senders take turns from the one after $4, in equal parts. The walk takes one step for each
-- sender with unpublished dead letters, independent of their number.
WITH RECURSIVE walk (sender, steps) AS (
    SELECT $4::text COLLATE "C", 0
    UNION ALL
    SELECT next.sender, walk.steps + 1
    FROM walk CROSS JOIN LATERAL (
        SELECT sender FROM dead_letter_outbox WHERE published_at IS NULL AND sender > walk.sender
        ORDER BY sender, dead_letter_id NULLS FIRST LIMIT 1) AS next
    WHERE walk.steps < $1
), turns AS MATERIALIZED (SELECT sender FROM walk WHERE steps > 0),
claimed AS MATERIALIZED (
    SELECT first.dead_letter_id, first.sender, first.bytes FROM turns CROSS JOIN LATERAL (
        SELECT dead_letter_id, sender, least(coalesce(octet_length(value), 0), $3) + octet_length(headers::text) AS bytes
        FROM dead_letter_outbox WHERE published_at IS NULL AND sender = turns.sender
        ORDER BY sender, dead_letter_id NULLS FIRST
        LIMIT (SELECT ceil($1::float8 / count(*)) FROM turns) FOR UPDATE SKIP LOCKED) AS first
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY sender ORDER BY dead_letter_id) AS place FROM claimed
), sized AS (
    SELECT *, sum(bytes) OVER (ORDER BY place, sender) - bytes AS before FROM placed
), portion AS MATERIALIZED (SELECT dead_letter_id FROM sized WHERE before < $2 ORDER BY place, sender LIMIT $1)
SELECT dead_letter_id, topic, partition, kafka_offset, substring(value FOR $3) AS value, octet_length(value) AS value_bytes, headers,
    reason, pointer, extract(epoch FROM received_at)::float8 AS received, sender
FROM dead_letter_outbox WHERE dead_letter_id = ANY (ARRAY(SELECT dead_letter_id FROM portion))
ORDER BY dead_letter_id

-- name: mark_dead_letters_published
-- Marks dead letters as published.
UPDATE dead_letter_outbox SET published_at = now() WHERE dead_letter_id = ANY($1::bigint[])
