-- Records of organizations in quarantine, as the log has them; offsets of the log that hold no record; sums that are full.

CREATE TABLE quarantined_records (
    organization_id integer NOT NULL REFERENCES organizations,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,  -- not jsonb, which refuses the NUL that a foreign header name may hold
    received_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, kafka_offset)
);
CREATE INDEX quarantined_records_by_organization ON quarantined_records (organization_id, topic, partition, kafka_offset);
COMMENT ON TABLE quarantined_records IS 'Writer: aggregator. Records of organizations in quarantine, byte for byte, held until they can be applied in the order of their offsets; a row leaves in the transaction that applies it.';

CREATE TABLE catalog_reloads (
    reload_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    reloaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catalog_reloads IS 'Writer: aggregator. A fact was applied after its turn: aggregators read organizations and rates again.';

ALTER TABLE partition_progress ADD COLUMN skipped bigint NOT NULL DEFAULT 0, ADD COLUMN records_end bigint,
    DROP CONSTRAINT every_offset_has_one_fate,
    ADD CONSTRAINT every_offset_has_one_fate CHECK (next_offset = counted + duplicate + rejected + held + skipped AND held >= 0 AND skipped >= 0);
COMMENT ON COLUMN partition_progress.skipped IS 'Offsets that hold no record: markers of transactions, records of aborted ones, and what compaction took.';
COMMENT ON COLUMN partition_progress.records_end IS 'The offset after the last record; what is from there up to next_offset holds none. Null: the same as next_offset.';

ALTER TABLE usage_held DROP CONSTRAINT usage_held_waits_for_check,
    ADD CONSTRAINT usage_held_waits_for_check CHECK (waits_for IN ('organization', 'rate', 'original', 'sum_limit')) NOT VALID;

GRANT SELECT, INSERT, DELETE ON quarantined_records TO flexcredits_aggregator;
GRANT SELECT ON quarantined_records TO flexcredits_rebuild;
GRANT SELECT (organization_id, topic, partition, kafka_offset, received_at) ON quarantined_records TO flexcredits_api;
GRANT SELECT, INSERT ON catalog_reloads TO flexcredits_aggregator;
ALTER TABLE quarantined_records ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON quarantined_records TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON quarantined_records FOR SELECT TO flexcredits_rebuild USING (true);
CREATE POLICY one_organization ON quarantined_records FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
ALTER TABLE catalog_reloads ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON catalog_reloads TO flexcredits_aggregator USING (true) WITH CHECK (true);
