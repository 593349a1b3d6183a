-- Why these corrections were made. One that was held and then rejected may be sent again under its identity.
INSERT INTO correction_reasons (ledger_bucket, identity, organization_id, reason)
SELECT * FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::text[])
ON CONFLICT (ledger_bucket, identity) DO UPDATE SET organization_id = excluded.organization_id, reason = excluded.reason
