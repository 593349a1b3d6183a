-- Mappings of API keys: which event of a foreign client becomes which usage.

CREATE TABLE api_key_mappings (
    key_id text PRIMARY KEY REFERENCES api_keys,
    document jsonb NOT NULL CHECK (octet_length(document::text) <= 256 * 1024),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL
);
COMMENT ON TABLE api_key_mappings IS 'Writers: the command line, and the query API for keys of exactly one organization. A document is a flexcredits.mapping.v1.';

-- The query API sees and maps the keys that are for exactly the organization of the request. It never sees a secret's hash.
GRANT SELECT (key_id, organizations, products, created_at, expires_at, revoked_at) ON api_keys TO flexcredits_api;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON api_keys FOR SELECT TO flexcredits_ingest USING (true);
CREATE POLICY only_organization ON api_keys FOR SELECT TO flexcredits_api
    USING (organizations = ARRAY[(SELECT current_setting('app.organization', true))]);

GRANT SELECT ON api_key_mappings TO flexcredits_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_key_mappings TO flexcredits_api;
ALTER TABLE api_key_mappings ENABLE ROW LEVEL SECURITY;
CREATE POLICY ingest ON api_key_mappings FOR SELECT TO flexcredits_ingest USING (true);
CREATE POLICY only_organization ON api_key_mappings TO flexcredits_api
    USING (EXISTS (SELECT FROM api_keys k WHERE k.key_id = api_key_mappings.key_id))
    WITH CHECK (EXISTS (SELECT FROM api_keys k WHERE k.key_id = api_key_mappings.key_id));
