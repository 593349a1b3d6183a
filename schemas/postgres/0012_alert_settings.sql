-- What admins may set: thresholds, a monthly budget, who else is told; and what they may ask of the alerter.

ALTER TABLE alert_settings
    ADD COLUMN usage_recipients_on boolean NOT NULL DEFAULT false,
    ADD COLUMN usage_recipients text[] NOT NULL DEFAULT '{}',
    ADD COLUMN budget_recurring_credits bigint CHECK (budget_recurring_credits > 0),
    ADD COLUMN budget_once_credits bigint CHECK (budget_once_credits > 0),
    ADD COLUMN budget_once_month date CHECK (extract(day FROM budget_once_month) = 1),
    ADD COLUMN budget_thresholds integer[] NOT NULL DEFAULT '{75,90,100}',
    ADD COLUMN budget_recipients_on boolean NOT NULL DEFAULT false,
    ADD COLUMN budget_recipients text[] NOT NULL DEFAULT '{}',
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_by text NOT NULL DEFAULT '',
    ADD CONSTRAINT budget_thresholds_are_percents CHECK (1 <= ALL (budget_thresholds) AND 200 >= ALL (budget_thresholds)),
    ADD CONSTRAINT thresholds_are_few CHECK (cardinality(usage_thresholds) <= 10 AND cardinality(budget_thresholds) <= 10),
    ADD CONSTRAINT a_budget_for_once_has_its_month CHECK ((budget_once_credits IS NULL) = (budget_once_month IS NULL));
COMMENT ON TABLE alert_settings IS 'Writer: query API, each save one version up. Thresholds in percent; organization_id 0 is what holds for those without a row of their own. A month''s budget, in micro-credits, is budget_once_credits in the month budget_once_month and budget_recurring_credits in others; null, there is none. Addresses are kept while their list is off.';

-- The rule budget compares a calendar month with its budget: contract_id is '' and period_id the month, as 2026-11.
ALTER TABLE alert_firings DROP CONSTRAINT alert_firings_rule_check,
    ADD CONSTRAINT alert_firings_rule_check CHECK (rule IN ('usage', 'budget'));

-- A mail without a firing is a test, which says so itself.
ALTER TABLE email_outbox ALTER COLUMN firing_id DROP NOT NULL,
    ADD COLUMN facts json,
    ADD COLUMN is_additional boolean NOT NULL DEFAULT false,
    ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT a_test_has_facts_of_its_own CHECK ((firing_id IS NULL) = (facts IS NOT NULL));
COMMENT ON COLUMN email_outbox.is_additional IS 'Told because an admin put the address on the list, not for a role: only these may unsubscribe by their mail.';
COMMENT ON COLUMN email_outbox.pending_since IS 'When it was written or sent again by hand: from here the waits between attempts grow, and in the end it is given up.';
CREATE INDEX email_outbox_tests ON email_outbox (organization_id, recipient, email_id) WHERE firing_id IS NULL;

CREATE TABLE mail_requests (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    kind text NOT NULL CHECK (kind IN ('test', 'resend')),
    rule text NOT NULL CHECK (rule IN ('usage', 'budget')),
    firing_id bigint REFERENCES alert_firings (firing_id),
    recipient text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'resend') = (firing_id IS NOT NULL)),
    CHECK (kind = 'resend' OR recipient IS NOT NULL)
);
COMMENT ON TABLE mail_requests IS 'Writer: query API. Drained by the alerter with alert_wakeups: a test mail to recipient, or a firing''s mails again (recipient null: to all whose mail failed).';

CREATE TABLE banner_dismissals (
    organization_id integer NOT NULL REFERENCES organizations,
    subject text NOT NULL,
    firing_id bigint NOT NULL REFERENCES alert_firings (firing_id),
    dismissed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, subject, firing_id)
);
COMMENT ON TABLE banner_dismissals IS 'Writer: query API. Who does not want to see the banner of a firing any more; the next threshold or episode is another firing.';

GRANT INSERT, UPDATE ON alert_settings TO flexcredits_api;
GRANT INSERT (organization_id) ON alert_wakeups TO flexcredits_api;
GRANT INSERT (organization_id, kind, rule, firing_id, recipient) ON mail_requests TO flexcredits_api;
GRANT SELECT, INSERT ON banner_dismissals TO flexcredits_api;
GRANT SELECT, UPDATE, DELETE ON mail_requests TO flexcredits_alerter;  -- UPDATE lets it lock them

ALTER TABLE alert_wakeups ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON alert_wakeups TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON alert_wakeups TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY wake ON alert_wakeups FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));

ALTER TABLE mail_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON mail_requests TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY request ON mail_requests FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));

ALTER TABLE banner_dismissals ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON banner_dismissals TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE POLICY everybody ON alert_settings FOR SELECT TO flexcredits_api USING (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL);
CREATE POLICY save ON alert_settings FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));
CREATE POLICY save_again ON alert_settings FOR UPDATE TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id())) WITH CHECK (organization_id = (SELECT app_organization_id()));
