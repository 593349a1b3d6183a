-- Alert events for other systems: the topic usage.alerts.v1, and the channels of an organization.
-- NULLS FIRST in the indexes of claims though there are no nulls: only these indexes then have the order of the claims, so the
-- planner never scans the rows of other organizations.

CREATE TABLE alert_channels (
    channel_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    kind text NOT NULL CHECK (kind IN ('webhook', 'slack')),
    name text NOT NULL,
    masked_url text NOT NULL,
    url text NOT NULL,
    signing_secret text,
    content_type text NOT NULL DEFAULT 'application/json',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    stopped_at timestamptz,
    stop_reason text,
    removed_at timestamptz,
    CONSTRAINT webhooks_have_a_signing_secret CHECK ((kind = 'webhook') = (signing_secret IS NOT NULL)),
    CONSTRAINT content_type_is_supported
        CHECK (content_type = 'application/json' OR (content_type = 'application/cloudevents+json' AND kind = 'webhook')),
    CONSTRAINT stopped_with_stop_reason CHECK ((stopped_at IS NULL) = (stop_reason IS NULL)),
    CONSTRAINT removed_without_url CHECK (removed_at IS NULL OR url = '')
);
CREATE INDEX alert_channels_by_organization ON alert_channels (organization_id) WHERE removed_at IS NULL;
COMMENT ON TABLE alert_channels IS 'Writer: query API; the alerter stops a channel whose receiver is gone permanently. url and signing_secret are secrets that the query API may write and not read; they are deleted when the channel is removed.';
COMMENT ON COLUMN alert_channels.content_type IS 'Content-Type of the requests. Most receivers parse application/json only; the body is the same CloudEvent in both cases.';
GRANT SELECT, UPDATE (stopped_at, stop_reason) ON alert_channels TO flexcredits_alerter;
GRANT SELECT (channel_id, organization_id, kind, name, masked_url, created_at, created_by, stopped_at, stop_reason, removed_at, content_type),
    INSERT (organization_id, kind, name, masked_url, url, signing_secret, created_by, content_type),
    UPDATE (url, signing_secret, removed_at)
    ON alert_channels TO flexcredits_api;
ALTER TABLE alert_channels ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_channels TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_channels TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE TABLE alert_events (
    alert_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    firing_id bigint REFERENCES alert_firings (firing_id),
    event_id text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('fired', 'resolved', 'test')),
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    published_at timestamptz,
    CONSTRAINT tests_have_no_firing CHECK ((kind = 'test') = (firing_id IS NULL)),
    CONSTRAINT tests_are_not_published CHECK (kind <> 'test' OR published_at IS NOT NULL)
);
CREATE INDEX alert_events_waiting ON alert_events (organization_id, alert_event_id NULLS FIRST) WHERE published_at IS NULL;
COMMENT ON TABLE alert_events IS 'Writer: alerter. A CloudEvent, byte for byte as the topic and webhooks get it, inserted with the firing or its resolution. A test goes to its channel only.';
GRANT SELECT, INSERT, UPDATE (published_at) ON alert_events TO flexcredits_alerter;
GRANT SELECT (alert_event_id, organization_id, firing_id, event_id, kind, created_at) ON alert_events TO flexcredits_api;
ALTER TABLE alert_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_events TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_events TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE TABLE alert_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    channel_id bigint NOT NULL REFERENCES alert_channels,
    alert_event_id bigint NOT NULL REFERENCES alert_events,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    pending_since timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    UNIQUE (channel_id, alert_event_id),
    CONSTRAINT finished_unless_pending CHECK ((finished_at IS NULL) = (state = 'pending'))
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (due_at) WHERE state = 'pending';
CREATE INDEX alert_deliveries_waiting ON alert_deliveries (organization_id, channel_id, delivery_id NULLS FIRST, due_at) WHERE state = 'pending';
CREATE INDEX alert_deliveries_by_channel ON alert_deliveries (organization_id, channel_id, delivery_id DESC NULLS LAST);
COMMENT ON TABLE alert_deliveries IS 'Writer: alerter. An alert event for one channel, claimed as in email_outbox.';
GRANT SELECT, INSERT, UPDATE ON alert_deliveries TO flexcredits_alerter;
GRANT SELECT ON alert_deliveries TO flexcredits_api;
ALTER TABLE alert_deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_deliveries TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_deliveries TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE TABLE alert_delivery_attempts (
    delivery_id bigint NOT NULL REFERENCES alert_deliveries,
    organization_id integer NOT NULL REFERENCES organizations,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'refused')),
    detail text NOT NULL,
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON TABLE alert_delivery_attempts IS 'Writer: alerter. The receiver''s answer to each attempt. An attempt during which the process ended has no row.';
GRANT SELECT, INSERT, UPDATE ON alert_delivery_attempts TO flexcredits_alerter;
GRANT SELECT ON alert_delivery_attempts TO flexcredits_api;
ALTER TABLE alert_delivery_attempts ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_delivery_attempts TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_delivery_attempts TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));
