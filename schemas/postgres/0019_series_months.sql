-- upgrade: nothing to stop; rates wait until the index is built. An aggregator of the previous version does not know series that stand for others: replace all of them soon.
-- New series by month, so that an organization whose features or agents differ in each event does not slow down others.

CREATE TABLE series_months (
    organization_id integer NOT NULL REFERENCES organizations,
    month date NOT NULL,
    created bigint NOT NULL,
    folded bigint NOT NULL,
    PRIMARY KEY (organization_id, month)
);
COMMENT ON TABLE series_months IS 'Writer: aggregator. created: rows of usage_series that the organization created in a month (UTC, of receipt), up to a limit. folded: combinations beyond the limit, once for each process that met them; they count as a series that stands for others.';
GRANT SELECT, INSERT, UPDATE ON series_months TO flexcredits_aggregator;
ALTER TABLE series_months ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON series_months TO flexcredits_aggregator USING (true) WITH CHECK (true);

COMMENT ON TABLE usage_series IS 'Writer: aggregator. One row per combination of dimensions; empty texts if there is no agent or no surface, the character U+007F for features, agents or surfaces beyond the limit of series_months.';

ALTER TABLE usage_held ADD COLUMN feature text;
COMMENT ON COLUMN usage_held.feature IS 'The feature whose rate the usage waits for, if its series stands for other features.';

-- Finds the rates that an organization sent in a month: there is a limit.
CREATE INDEX rates_by_receipt ON rates (organization_id, received_at);
