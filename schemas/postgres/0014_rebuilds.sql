-- Rebuilds of rollups. The role of a rebuild reads the evidence (ledger, positions, dead letters) and cannot change it.

CREATE TABLE rebuilds (
    rebuild_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    first_on date,
    last_on date,
    time_zone text,
    rebuilt_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT either_days_or_time_zone CHECK ((time_zone IS NULL) = (first_on IS NOT NULL) AND (first_on IS NULL) = (last_on IS NULL))
);
CREATE INDEX rebuilds_by_organization ON rebuilds (organization_id, rebuild_id);
CREATE INDEX rebuilds_of_zones ON rebuilds (rebuild_id) WHERE time_zone IS NOT NULL;
COMMENT ON TABLE rebuilds IS 'Writer: flexcredits rebuild. The days whose rollups were corrected, or the new time zone of an organization. After a new row aggregators read time zones again, and an answer of the API may differ from the one before.';
GRANT SELECT ON rebuilds TO flexcredits_aggregator, flexcredits_api;
GRANT SELECT, INSERT ON rebuilds TO flexcredits_rebuild;
ALTER TABLE rebuilds ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON rebuilds FOR SELECT TO flexcredits_aggregator USING (true);
CREATE POLICY rebuild ON rebuilds TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON rebuilds FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
