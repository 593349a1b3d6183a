-- Alert mails, and the requests for test messages and resends.

CREATE TABLE email_outbox (
    email_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    firing_id bigint REFERENCES alert_firings (firing_id),
    message_id text NOT NULL UNIQUE,
    recipient text NOT NULL,
    mail_context json,
    is_additional boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    pending_since timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT tests_have_context CHECK ((firing_id IS NULL) = (mail_context IS NOT NULL)),
    CONSTRAINT finished_unless_pending CHECK ((finished_at IS NULL) = (state = 'pending'))
);
CREATE INDEX email_outbox_by_firing ON email_outbox (firing_id);
CREATE INDEX email_outbox_tests ON email_outbox (organization_id, recipient, email_id) WHERE firing_id IS NULL;
-- NULLS FIRST as in 0011_channels.sql.
CREATE INDEX email_outbox_waiting ON email_outbox (organization_id, due_at NULLS FIRST, email_id) WHERE state = 'pending';
-- NULLS FIRST as in alert_wakeups_waiting.
CREATE INDEX email_outbox_oldest ON email_outbox (created_at NULLS FIRST) WHERE state = 'pending';
COMMENT ON TABLE email_outbox IS 'Writer: alerter. One mail to one recipient; a mail without a firing is a test, and has its own mail_context. A claim sets due_at later than the longest time that sending may take, so that no other process sends the mail; if the claiming process ends, the mail is due again at that time.';
COMMENT ON COLUMN email_outbox.is_additional IS 'The address is on the list of additional recipients: only these recipients may unsubscribe by the link in the mail.';
COMMENT ON COLUMN email_outbox.pending_since IS 'When the mail was created or sent again by hand: the backoff between attempts and the final time limit start here.';
GRANT SELECT, INSERT, UPDATE ON email_outbox TO flexcredits_alerter;
GRANT SELECT ON email_outbox TO flexcredits_api;
ALTER TABLE email_outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON email_outbox TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON email_outbox FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE email_attempts (
    email_id bigint NOT NULL REFERENCES email_outbox,
    organization_id integer NOT NULL REFERENCES organizations,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'refused')),
    detail text NOT NULL,
    PRIMARY KEY (email_id, attempt)
);
COMMENT ON TABLE email_attempts IS 'Writer: alerter. The mail server''s answer to each attempt. An attempt during which the process ended has no row.';
GRANT SELECT, INSERT, UPDATE ON email_attempts TO flexcredits_alerter;
GRANT SELECT ON email_attempts TO flexcredits_api;
ALTER TABLE email_attempts ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON email_attempts TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON email_attempts FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE mail_requests (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    kind text NOT NULL CHECK (kind IN ('test', 'resend', 'channel_test')),
    rule text NOT NULL CHECK (rule IN ('usage', 'budget')),
    firing_id bigint REFERENCES alert_firings (firing_id),
    recipient text,
    channel_id bigint REFERENCES alert_channels,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT resends_have_a_firing CHECK ((kind = 'resend') = (firing_id IS NOT NULL)),
    CONSTRAINT tests_have_a_destination
        CHECK (CASE kind WHEN 'test' THEN recipient IS NOT NULL WHEN 'channel_test' THEN channel_id IS NOT NULL ELSE true END)
);
CREATE INDEX mail_requests_waiting ON mail_requests (organization_id, request_id NULLS FIRST);
COMMENT ON TABLE mail_requests IS 'Writer: query API. Processed and deleted by the alerter with alert_wakeups: a test mail to recipient, a test message to channel_id, or the mails of a firing again (recipient null: all that failed).';
-- The alerter needs UPDATE to lock rows.
GRANT SELECT, UPDATE, DELETE ON mail_requests TO flexcredits_alerter;
GRANT INSERT (organization_id, kind, rule, firing_id, recipient, channel_id) ON mail_requests TO flexcredits_api;
ALTER TABLE mail_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON mail_requests TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY insert_requests ON mail_requests FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));
