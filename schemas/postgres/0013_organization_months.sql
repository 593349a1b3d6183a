-- The organization's months, so that totals, credit periods and budgets are added up without reading years of days.

CREATE TABLE usage_organization_monthly (
    organization_id integer NOT NULL,
    month date NOT NULL,
    product text NOT NULL,
    kafka_partition integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, month, product, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_organization_monthly IS 'Writer: aggregator. The sum of usage_organization_daily over a calendar month, whose first day is month. Micro-credits. Never dropped.';
INSERT INTO usage_organization_monthly (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits), sum(events)
FROM usage_organization_daily GROUP BY 1, 2, 3, 4;

DROP TABLE usage_totals;  -- a few rows of months are as quick to add up

GRANT SELECT, INSERT, UPDATE ON usage_organization_monthly TO flexcredits_aggregator;
GRANT SELECT ON usage_organization_monthly TO flexcredits_api, flexcredits_alerter;
ALTER TABLE usage_organization_monthly ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_organization_monthly TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_organization_monthly FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY one_organization ON usage_organization_monthly FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
