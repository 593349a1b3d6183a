-- Usage that waits for a fact or its original.
INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, quantity, unit,
    kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, received_at)
SELECT ledger_bucket, identity, organization_id, series_id, to_timestamp(occurred), credits, quantity, unit,
    kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, to_timestamp(received)
FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::integer[], $5::float8[], $6::bigint[], $7::bigint[], $8::text[],
    $9::integer[], $10::bigint[], $11::text[], $12::integer[], $13::uuid[], $14::bytea[], $15::float8[])
    AS d(ledger_bucket, identity, organization_id, series_id, occurred, credits, quantity, unit,
         kafka_partition, kafka_offset, waits_for, corrects_bucket, corrects, value, received)
