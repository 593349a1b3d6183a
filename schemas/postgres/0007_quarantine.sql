-- Organizations whose own data makes a step fail: the step skips this organization only, and is retried.

CREATE TABLE quarantine (
    organization_id integer NOT NULL REFERENCES organizations,
    component text NOT NULL,
    step text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    failed_first_at timestamptz NOT NULL DEFAULT now(),
    failed_last_at timestamptz NOT NULL DEFAULT now(),
    retry_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, component, step),
    CONSTRAINT component_is_known CHECK (component IN ('aggregator', 'alerter', 'rebuild', 'retention'))
);
COMMENT ON TABLE quarantine IS 'Writer: the component that failed. One row per organization and step that failed for this organization only; retried at retry_at with backoff, deleted by the first success. An organization without a row is not in quarantine.';
GRANT SELECT, INSERT, UPDATE, DELETE ON quarantine TO flexcredits_aggregator, flexcredits_alerter, flexcredits_rebuild;
GRANT SELECT ON quarantine TO flexcredits_api;
ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON quarantine TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON quarantine TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON quarantine TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON quarantine FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE quarantined_records (
    organization_id integer NOT NULL REFERENCES organizations,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,  -- not jsonb, which cannot store a NUL in a header name
    received_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, kafka_offset)
);
CREATE INDEX quarantined_records_by_organization ON quarantined_records (organization_id, topic, partition, kafka_offset);
COMMENT ON TABLE quarantined_records IS 'Writer: aggregator. Records of organizations in quarantine, unchanged, until they can be applied in the order of their offsets; a row is deleted in the transaction that applies it.';
GRANT SELECT, INSERT, DELETE ON quarantined_records TO flexcredits_aggregator;
GRANT SELECT (organization_id, topic, partition, kafka_offset, received_at) ON quarantined_records TO flexcredits_api;
GRANT SELECT ON quarantined_records TO flexcredits_rebuild;
ALTER TABLE quarantined_records ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON quarantined_records TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON quarantined_records FOR SELECT TO flexcredits_rebuild USING (true);
CREATE POLICY one_organization ON quarantined_records FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE catalog_reloads (
    reload_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    reloaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX catalog_reloads_by_organization ON catalog_reloads (organization_id, reload_id);
COMMENT ON TABLE catalog_reloads IS 'Writer: aggregator. A catalog event was applied out of order: aggregators read organizations and rates again, and the query API what it keeps by version.';
GRANT SELECT, INSERT ON catalog_reloads TO flexcredits_aggregator;
GRANT SELECT ON catalog_reloads TO flexcredits_api;
ALTER TABLE catalog_reloads ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON catalog_reloads TO flexcredits_aggregator USING (true) WITH CHECK (true);
-- 0 is the deployment, whose events name features of all organizations.
CREATE POLICY one_organization ON catalog_reloads FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()) OR (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL));
