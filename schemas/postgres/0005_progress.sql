-- How far the aggregator has processed each topic, and by which time zone rules days were counted.

CREATE TABLE partition_progress (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    counted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    records_end bigint,
    updated_at timestamptz NOT NULL DEFAULT now(),
    caught_up_at timestamptz,
    PRIMARY KEY (topic, partition),
    CONSTRAINT every_offset_has_one_result CHECK (next_offset = counted + duplicate + rejected + held + skipped AND held >= 0 AND skipped >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE partition_progress IS 'Writer: aggregator. The number of offsets below next_offset by result; the group offsets in Kafka are only a hint.';
COMMENT ON COLUMN partition_progress.skipped IS 'Offsets without a record: transaction markers, records of aborted transactions, and compacted records.';
COMMENT ON COLUMN partition_progress.records_end IS 'The offset after the last record; the offsets from here up to next_offset have no record. Null: equal to next_offset.';
COMMENT ON COLUMN partition_progress.caught_up_at IS 'The latest append time of a processed record. See also partition_ends.complete_to.';
GRANT SELECT, INSERT, UPDATE ON partition_progress TO flexcredits_aggregator;
GRANT SELECT ON partition_progress TO flexcredits_api, flexcredits_rebuild;

CREATE TABLE partition_ends (
    topic text NOT NULL,
    partition integer NOT NULL,
    end_offset bigint,
    end_seen_at timestamptz,
    complete_to timestamptz,
    PRIMARY KEY (topic, partition),
    FOREIGN KEY (topic, partition) REFERENCES partition_progress ON UPDATE CASCADE ON DELETE CASCADE
) WITH (fillfactor = 50);
COMMENT ON TABLE partition_ends IS 'Writer: aggregator. How far each log reaches, apart from partition_progress, whose rows a batch locks for as long as it takes.';
COMMENT ON COLUMN partition_ends.end_offset IS 'The end of the log at end_seen_at; the records from next_offset up to it are not processed yet.';
COMMENT ON COLUMN partition_ends.complete_to IS 'The latest end_seen_at at which all offsets before end_offset were processed.';
GRANT SELECT, INSERT, UPDATE ON partition_ends TO flexcredits_aggregator;
GRANT SELECT ON partition_ends TO flexcredits_api;

CREATE TABLE partition_hours (
    topic text NOT NULL,
    partition integer NOT NULL,
    hour_at timestamptz NOT NULL,
    counted bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    held bigint NOT NULL,
    PRIMARY KEY (topic, partition, hour_at),
    CONSTRAINT counts_are_not_negative CHECK (counted >= 0 AND duplicate >= 0 AND rejected >= 0 AND held >= 0)
) WITH (fillfactor = 70);
COMMENT ON TABLE partition_hours IS 'Writer: aggregator. The counts of partition_progress by the hour (UTC) of the records'' append time.';
GRANT SELECT, INSERT, UPDATE ON partition_hours TO flexcredits_aggregator;
GRANT SELECT ON partition_hours TO flexcredits_api, flexcredits_rebuild;

CREATE TABLE zone_rules (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    time_zone text NOT NULL,
    tz text,
    changes bigint[],
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tz_and_changes_or_neither CHECK ((tz IS NULL) = (changes IS NULL))
);
COMMENT ON TABLE zone_rules IS 'Writers: aggregator, flexcredits rebuild. The time zone rules by which the days of an organization are counted: the release of tz, and each change of the offset from 2024 on as a second of the epoch followed by the new offset. When rules change, a rebuild moves the days. Null: the rules are unknown.';
GRANT SELECT, INSERT, UPDATE ON zone_rules TO flexcredits_aggregator, flexcredits_rebuild;
GRANT SELECT ON zone_rules TO flexcredits_api;
ALTER TABLE zone_rules ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON zone_rules TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON zone_rules TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON zone_rules FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
