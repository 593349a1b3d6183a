-- By which release of tz an organization's days were counted: when rules change, days are moved by a rebuild, and nobody has to guess whose.

CREATE TABLE zone_rules (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    time_zone text NOT NULL,
    tz text,
    changes bigint[],
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT both_or_unknown CHECK ((tz IS NULL) = (changes IS NULL))
);
COMMENT ON TABLE zone_rules IS 'Writer: aggregator, and flexcredits rebuild. The rules by which the days of an organization are counted: release of tz, and from 2024 on each second of a change with the offset from then on. Null: they were counted before rules were recorded.';

GRANT SELECT, INSERT, UPDATE ON zone_rules TO flexcredits_aggregator, flexcredits_rebuild;
GRANT SELECT ON zone_rules TO flexcredits_api;
ALTER TABLE zone_rules ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON zone_rules TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON zone_rules TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON zone_rules FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
