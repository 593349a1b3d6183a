-- More grains of the same usage: months, corrections by themselves, late usage by itself, and the proof by the hour.

CREATE TABLE usage_monthly (
    organization_id integer NOT NULL,
    month date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, month, series_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE usage_monthly IS 'Writer: aggregator. Micro-credits per calendar month of the organization''s zone, the sum of its days; month is its first day. Never dropped.';
INSERT INTO usage_monthly (organization_id, month, series_id, credits, events)
SELECT organization_id, date_trunc('month', day)::date, series_id, sum(credits), sum(events) FROM usage_daily GROUP BY 1, 2, 3;

CREATE TABLE usage_corrections (
    organization_id integer NOT NULL,
    day date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    corrections bigint NOT NULL,
    PRIMARY KEY (organization_id, day, series_id)
);
COMMENT ON TABLE usage_corrections IS 'Writer: aggregator. The signed micro-credits that corrections contribute to a day''s row of usage_daily, and how many they are. Never dropped.';
INSERT INTO usage_corrections (organization_id, day, series_id, credits, corrections)
SELECT l.organization_id, (l.occurred_at AT TIME ZONE o.time_zone)::date, l.series_id, sum(l.credits), count(*)
FROM usage_ledger l JOIN organizations o USING (organization_id)
WHERE l.corrects IS NOT NULL AND NOT l.held AND o.time_zone IS NOT NULL GROUP BY 1, 2, 3;

CREATE TABLE usage_late (
    organization_id integer NOT NULL,
    day date NOT NULL,
    received_on date NOT NULL,
    product text NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, received_on, product)
);
COMMENT ON TABLE usage_late IS 'Writer: aggregator. What was received on a later day, of the organization''s zone, than the day that it counts in; corrections are part of it and are no events. Micro-credits. Never dropped.';
INSERT INTO usage_late (organization_id, day, received_on, product, credits, events)
SELECT l.organization_id, (l.occurred_at AT TIME ZONE o.time_zone)::date, (l.received_at AT TIME ZONE o.time_zone)::date, s.product,
    sum(l.credits), count(*) FILTER (WHERE l.corrects IS NULL)
FROM usage_ledger l JOIN organizations o USING (organization_id) JOIN usage_series s USING (series_id)
WHERE NOT l.held AND o.time_zone IS NOT NULL
    AND (l.received_at AT TIME ZONE o.time_zone)::date > (l.occurred_at AT TIME ZONE o.time_zone)::date GROUP BY 1, 2, 3, 4;

CREATE TABLE partition_hours (
    topic text NOT NULL,
    partition integer NOT NULL,
    hour_at timestamptz NOT NULL,
    counted bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    held bigint NOT NULL,
    PRIMARY KEY (topic, partition, hour_at),
    CHECK (counted >= 0 AND duplicate >= 0 AND rejected >= 0 AND held >= 0)
) WITH (fillfactor = 70);
COMMENT ON TABLE partition_hours IS 'Writer: aggregator. What became of the records that the log took in an hour (UTC, append time). Begins with this table; partition_progress has the sums since ever.';

ALTER TABLE partition_progress ADD COLUMN end_offset bigint, ADD COLUMN end_seen_at timestamptz;
COMMENT ON COLUMN partition_progress.end_offset IS 'Where the log ended at end_seen_at; what lies between next_offset and it is in flight.';

ALTER TABLE usage_held ADD COLUMN received_at timestamptz;
UPDATE usage_held h SET received_at = l.received_at FROM usage_ledger l WHERE (l.ledger_bucket, l.identity) = (h.ledger_bucket, h.identity);
ALTER TABLE usage_held ALTER COLUMN received_at SET NOT NULL;

-- What is held already will be released from its hour.
INSERT INTO partition_hours (topic, partition, hour_at, counted, duplicate, rejected, held)
SELECT p.topic, p.partition, date_trunc('hour', h.received_at), 0, 0, 0, count(*)
FROM usage_held h JOIN partition_progress p ON p.partition = h.kafka_partition AND p.held > 0 GROUP BY 1, 2, 3;

GRANT SELECT, INSERT, UPDATE ON usage_monthly, usage_corrections, usage_late, partition_hours TO flexcredits_aggregator;
GRANT SELECT ON usage_monthly, usage_corrections, usage_late, partition_hours TO flexcredits_api;

DO $$
DECLARE
    customer_table text;
BEGIN
    FOREACH customer_table IN ARRAY ARRAY['usage_monthly', 'usage_corrections', 'usage_late'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', customer_table);
        EXECUTE format('CREATE POLICY aggregator ON %I TO flexcredits_aggregator USING (true) WITH CHECK (true)', customer_table);
        EXECUTE format('CREATE POLICY one_organization ON %I FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()))',
                       customer_table);
    END LOOP;
END
$$;
