-- Identities that lie in a hash partition because the day inside their id has no partition.
INSERT INTO ledger_strays (id_day, ledger_bucket, identity, received_at)
SELECT id_day, ledger_bucket, identity, to_timestamp(received)
FROM unnest($1::integer[], $2::integer[], $3::uuid[], $4::float8[]) AS d(id_day, ledger_bucket, identity, received)
ON CONFLICT DO NOTHING
