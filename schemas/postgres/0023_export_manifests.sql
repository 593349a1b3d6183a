-- upgrade: nothing to stop
-- What was exported: the manifest of each file, and its lines, so that the file can be written again and compared.

CREATE TABLE export_manifests (
    organization_id integer NOT NULL REFERENCES organizations,
    export_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    manifest text NOT NULL,
    signature text,
    kept_bytes bigint,
    PRIMARY KEY (organization_id, export_id)
);
CREATE INDEX export_manifests_by_time ON export_manifests (organization_id, made_at);
COMMENT ON TABLE export_manifests IS 'Writer: query API. One row per file of usage that was sent whole, up to a limit per organization, then the oldest is deleted. manifest is JSON, its bytes are signed; signature is a minisign file, null without a key. kept_bytes: of its export_lines, null when they are no longer kept or were too many.';
GRANT SELECT, INSERT, DELETE, UPDATE (kept_bytes) ON export_manifests TO flexcredits_api;
ALTER TABLE export_manifests ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON export_manifests TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE TABLE export_lines (
    organization_id integer NOT NULL,
    export_id uuid NOT NULL,
    position integer NOT NULL,
    first_on date NOT NULL,
    begins_at timestamptz[] NOT NULL,
    labels bytea,
    lines bytea NOT NULL,
    PRIMARY KEY (organization_id, export_id, position),
    FOREIGN KEY (organization_id, export_id) REFERENCES export_manifests ON DELETE CASCADE
);
COMMENT ON TABLE export_lines IS 'Writer: query API. The lines of an exported file, in parts of some days: begins_at are the instants at which the days from first_on on began, and the last one ended. lines and labels are Parquet; labels null: those of the part before.';
GRANT SELECT, INSERT, DELETE ON export_lines TO flexcredits_api;
ALTER TABLE export_lines ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON export_lines TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()));
