-- Work that the aggregator's transactions leave to the relays and to the alerter.

CREATE TABLE totals_outbox (
    totals_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE totals_outbox IS 'Writers: aggregator, flexcredits rebuild. Organizations whose totals changed; the relay publishes them to usage.totals.v1 and deletes the rows.';
GRANT SELECT, INSERT, DELETE ON totals_outbox TO flexcredits_aggregator;
GRANT INSERT ON totals_outbox TO flexcredits_rebuild;

CREATE TABLE dead_letter_outbox (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers json NOT NULL,  -- not jsonb, which cannot store a NUL in a header name
    organization text,
    identity uuid,
    reason text NOT NULL,
    pointer text NOT NULL,
    received_at timestamptz NOT NULL,
    published_at timestamptz,
    -- An organization of a rejected record can be any text, also one that is too long for an index.
    sender text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce('/' || left(organization, 100), '?')) STORED,
    UNIQUE (topic, partition, kafka_offset),
    CONSTRAINT organization_and_identity_or_neither CHECK ((organization IS NULL) = (identity IS NULL))
);
-- NULLS FIRST as in alert_wakeups_waiting.
CREATE INDEX dead_letter_outbox_unpublished ON dead_letter_outbox (sender, dead_letter_id NULLS FIRST) WHERE published_at IS NULL;
CREATE INDEX dead_letter_outbox_by_identity ON dead_letter_outbox (identity) WHERE identity IS NOT NULL;
COMMENT ON TABLE dead_letter_outbox IS 'Writer: aggregator. Every rejected record, exactly once; the relay copies it to the dead-letter topic at least once.';
COMMENT ON COLUMN dead_letter_outbox.sender IS 'By whom the relay takes turns: the organization, or all records together that name none.';
COMMENT ON COLUMN dead_letter_outbox.identity IS 'Null if the record has no readable source and id.';
-- The API reads no record: its content is unchecked and for operators only.
GRANT SELECT, INSERT, UPDATE ON dead_letter_outbox TO flexcredits_aggregator;
GRANT SELECT (topic, partition, kafka_offset, reason, pointer, received_at, organization, identity)
    ON dead_letter_outbox TO flexcredits_api;
GRANT SELECT ON dead_letter_outbox TO flexcredits_rebuild;
ALTER TABLE dead_letter_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON dead_letter_outbox TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON dead_letter_outbox TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON dead_letter_outbox FOR SELECT TO flexcredits_api
    USING (organization = (SELECT current_setting('app.organization', true)));

CREATE TABLE alert_wakeups (
    wakeup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- NULLS FIRST though there are no nulls: only this index then has the order of the claims, so the planner never scans the rows of other organizations.
CREATE INDEX alert_wakeups_waiting ON alert_wakeups (organization_id, wakeup_id NULLS FIRST);
COMMENT ON TABLE alert_wakeups IS 'Writers: aggregator (catalog changes), query API (settings), flexcredits rebuild. Requests to evaluate an organization; the alerter deletes them.';
-- The alerter needs UPDATE to lock rows.
GRANT SELECT, INSERT ON alert_wakeups TO flexcredits_aggregator;
GRANT SELECT, UPDATE, DELETE ON alert_wakeups TO flexcredits_alerter;
GRANT INSERT (organization_id) ON alert_wakeups TO flexcredits_api;
GRANT INSERT ON alert_wakeups TO flexcredits_rebuild;
ALTER TABLE alert_wakeups ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON alert_wakeups TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON alert_wakeups TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON alert_wakeups TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY request_evaluation ON alert_wakeups FOR INSERT TO flexcredits_api
    WITH CHECK (organization_id = (SELECT app_organization_id()));
