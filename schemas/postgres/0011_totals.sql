-- The level that usage.totals.v1 carries, so that telling it does not add up years of days ten times a second.

CREATE TABLE usage_totals (
    organization_id integer NOT NULL,
    product text NOT NULL,
    kafka_partition integer NOT NULL,
    credits bigint NOT NULL,
    PRIMARY KEY (organization_id, product, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_totals IS 'Writer: aggregator. Micro-credits of all time, the sum of usage_organization_daily; the partition in the key keeps replicas off each other''s rows.';
INSERT INTO usage_totals (organization_id, product, kafka_partition, credits)
SELECT organization_id, product, kafka_partition, sum(credits) FROM usage_organization_daily GROUP BY 1, 2, 3;

GRANT SELECT, INSERT, UPDATE ON usage_totals TO flexcredits_aggregator;
ALTER TABLE usage_totals ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_totals TO flexcredits_aggregator USING (true) WITH CHECK (true);
