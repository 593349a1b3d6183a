-- What one organization's data made a service fail at: it is set aside for that organization alone, and tried again.

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
COMMENT ON TABLE quarantine IS 'Writer: the component that failed. One row per organization and step that failed for it alone; retried at retry_at with backoff, deleted by the first success. An organization without a row is not in quarantine.';

GRANT SELECT, INSERT, UPDATE, DELETE ON quarantine TO flexcredits_aggregator, flexcredits_alerter, flexcredits_rebuild;
GRANT SELECT ON quarantine TO flexcredits_api;
ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON quarantine TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON quarantine TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON quarantine TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON quarantine FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
