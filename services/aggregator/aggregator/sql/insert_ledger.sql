-- Claim identities; the rows that come back were new. Sorted by key, so that two batches never wait for each other, and
-- of copies in one batch the first wins. Without credits yet, a row is held.
INSERT INTO usage_ledger (ledger_bucket, identity, payload, organization_id, series_id, occurred_at, credits, held, received_at,
    kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects)
SELECT ledger_bucket, identity, payload, organization_id, series_id, to_timestamp(occurred), coalesce(credits, 0), credits IS NULL,
    to_timestamp(received), kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects
FROM unnest($1::integer[], $2::uuid[], $3::uuid[], $4::integer[], $5::integer[], $6::float8[], $7::bigint[], $8::float8[],
    $9::integer[], $10::bigint[], $11::integer[], $12::bigint[], $13::integer[], $14::uuid[])
    AS d(ledger_bucket, identity, payload, organization_id, series_id, occurred, credits, received,
         kafka_partition, kafka_offset, rate_id, quantity, corrects_bucket, corrects)
ORDER BY ledger_bucket, identity, kafka_partition, kafka_offset
ON CONFLICT DO NOTHING
RETURNING kafka_partition, kafka_offset
