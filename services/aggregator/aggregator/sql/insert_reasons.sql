-- Why these corrections were made.
INSERT INTO correction_reasons (ledger_bucket, identity, organization_id, reason)
SELECT * FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::text[])
