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

-- name: claim_dead_letters
-- Dead letters that are not published yet: at most $1, and none after those that have $2 bytes together.
-- A value is cut to its first $3 bytes.
SELECT dead_letter_id, topic, partition, kafka_offset, substring(value FOR $3) AS value, octet_length(value) AS value_bytes, headers,
    reason, pointer, extract(epoch FROM received_at)::float8 AS received
FROM dead_letter_outbox WHERE dead_letter_id = ANY (ARRAY(
    SELECT dead_letter_id FROM (
        SELECT dead_letter_id, sum(bytes) OVER (ORDER BY dead_letter_id) - bytes AS before FROM (
            SELECT dead_letter_id, least(coalesce(octet_length(value), 0), $3) + octet_length(headers::text) AS bytes
            FROM dead_letter_outbox WHERE published_at IS NULL ORDER BY dead_letter_id LIMIT $1 FOR UPDATE SKIP LOCKED) AS waiting) AS sized
    WHERE before < $2))
ORDER BY dead_letter_id

-- name: mark_dead_letters_published
-- Marks dead letters as published.
UPDATE dead_letter_outbox SET published_at = now() WHERE dead_letter_id = ANY($1::bigint[])
