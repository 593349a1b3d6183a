-- What a receipt can say beyond the ledger: that an event was rejected, and why somebody corrected one.

ALTER TABLE dead_letter_outbox ADD COLUMN organization text, ADD COLUMN identity uuid,
    ADD CONSTRAINT who_it_is_is_known_or_not CHECK ((organization IS NULL) = (identity IS NULL));
CREATE INDEX dead_letter_outbox_by_identity ON dead_letter_outbox (identity) WHERE identity IS NOT NULL;
COMMENT ON COLUMN dead_letter_outbox.identity IS 'Null where the record does not say who it is, and before this column.';

CREATE TABLE correction_reasons (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    organization_id integer NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (ledger_bucket, identity)
);
COMMENT ON TABLE correction_reasons IS 'Writer: aggregator. Why a correction in the ledger, counted or held, was made. Begins with this table.';

GRANT SELECT, INSERT ON correction_reasons TO flexcredits_aggregator;
GRANT SELECT ON correction_reasons TO flexcredits_api;
ALTER TABLE correction_reasons ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON correction_reasons TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON correction_reasons FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- Not the record itself: it may say anything, and is for operators.
GRANT SELECT (organization, identity, topic, partition, kafka_offset, reason, pointer, received_at) ON dead_letter_outbox TO flexcredits_api;
ALTER TABLE dead_letter_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON dead_letter_outbox TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON dead_letter_outbox FOR SELECT TO flexcredits_api
    USING (organization = (SELECT current_setting('app.organization', true)));
