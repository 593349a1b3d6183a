-- The keys with which product services send events.

CREATE TABLE api_keys (
    key_id text PRIMARY KEY,
    secret_sha256 bytea NOT NULL,
    organizations text[] NOT NULL,
    products text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_keys IS 'Writer: the command line. Only a hash of the 256-bit secret; * in a list means all.';
GRANT SELECT ON api_keys TO flexcredits_ingest;
