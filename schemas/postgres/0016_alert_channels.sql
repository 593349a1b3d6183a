-- Other systems are told of alerts: by the topic usage.alerts.v1, and by an organization's channels.

CREATE TABLE alert_channels (
    channel_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    kind text NOT NULL CHECK (kind IN ('webhook', 'slack')),
    name text NOT NULL,
    shown_url text NOT NULL,
    url text NOT NULL,
    signing_secret text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    stopped_at timestamptz,
    stopped_because text,
    removed_at timestamptz,
    CHECK ((kind = 'webhook') = (signing_secret IS NOT NULL)),
    CHECK ((stopped_at IS NULL) = (stopped_because IS NULL)),
    CHECK (removed_at IS NULL OR url = '')
);
CREATE INDEX alert_channels_by_organization ON alert_channels (organization_id) WHERE removed_at IS NULL;
COMMENT ON TABLE alert_channels IS 'Writer: query API; the alerter stops one whose receiver is gone for good. url and signing_secret are secrets that the query API may write and not read, and are forgotten when the channel is removed.';

CREATE TABLE alert_notices (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    firing_id bigint REFERENCES alert_firings (firing_id),
    event_id text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('fired', 'resolved', 'test')),
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    published_at timestamptz,
    CHECK ((kind = 'test') = (firing_id IS NULL)),
    CHECK (kind <> 'test' OR published_at IS NOT NULL)
);
CREATE INDEX alert_notices_unpublished ON alert_notices (notice_id) WHERE published_at IS NULL;
COMMENT ON TABLE alert_notices IS 'Writer: alerter. A CloudEvent, byte for byte as topic and webhooks get it, written with the firing or its end. Tests go to their channel only.';

CREATE TABLE alert_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    channel_id bigint NOT NULL REFERENCES alert_channels,
    notice_id bigint NOT NULL REFERENCES alert_notices,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    pending_since timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    UNIQUE (channel_id, notice_id),
    CHECK ((settled_at IS NULL) = (state = 'pending'))
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (due_at) WHERE state = 'pending';
CREATE INDEX alert_deliveries_by_channel ON alert_deliveries (organization_id, channel_id, delivery_id DESC NULLS LAST);
COMMENT ON TABLE alert_deliveries IS 'Writer: alerter. A notice to one channel, claimed as in email_outbox.';

CREATE TABLE alert_delivery_attempts (
    delivery_id bigint NOT NULL REFERENCES alert_deliveries,
    organization_id integer NOT NULL REFERENCES organizations,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'refused')),
    detail text NOT NULL,
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON TABLE alert_delivery_attempts IS 'Writer: alerter. What the receiver said to each attempt. An attempt that ended with its process has no row.';

ALTER TABLE mail_requests ADD COLUMN channel_id bigint REFERENCES alert_channels,
    DROP CONSTRAINT mail_requests_kind_check,
    ADD CONSTRAINT mail_requests_kind_check CHECK (kind IN ('test', 'resend', 'channel_test')),
    DROP CONSTRAINT mail_requests_check1,
    ADD CONSTRAINT a_test_says_where_it_goes CHECK (CASE kind WHEN 'test' THEN recipient IS NOT NULL WHEN 'channel_test' THEN channel_id IS NOT NULL ELSE true END);
COMMENT ON COLUMN mail_requests.channel_id IS 'Of a test that goes to a channel instead of a person.';

GRANT SELECT (channel_id, organization_id, kind, name, shown_url, created_at, created_by, stopped_at, stopped_because, removed_at),
    INSERT (organization_id, kind, name, shown_url, url, signing_secret, created_by),
    UPDATE (url, signing_secret, removed_at) ON alert_channels TO flexcredits_api;
GRANT SELECT (notice_id, organization_id, firing_id, event_id, kind, created_at) ON alert_notices TO flexcredits_api;
GRANT SELECT ON alert_deliveries, alert_delivery_attempts TO flexcredits_api;
GRANT INSERT (channel_id) ON mail_requests TO flexcredits_api;
GRANT SELECT, UPDATE (stopped_at, stopped_because) ON alert_channels TO flexcredits_alerter;
GRANT SELECT, INSERT, UPDATE (published_at) ON alert_notices TO flexcredits_alerter;
GRANT SELECT, INSERT, UPDATE ON alert_deliveries, alert_delivery_attempts TO flexcredits_alerter;

DO $$
DECLARE
    customer_table text;
BEGIN
    FOREACH customer_table IN ARRAY ARRAY['alert_channels', 'alert_notices', 'alert_deliveries', 'alert_delivery_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', customer_table);
        EXECUTE format('CREATE POLICY alerter ON %I TO flexcredits_alerter USING (true) WITH CHECK (true)', customer_table);
        EXECUTE format('CREATE POLICY one_organization ON %I TO flexcredits_api USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()))',
                       customer_table);
    END LOOP;
END
$$;
