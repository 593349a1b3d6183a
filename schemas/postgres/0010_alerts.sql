-- Thresholds of usage and budgets, and the alerts that they have raised. Usage is read from the rollups, never stored here.

CREATE TABLE alert_settings (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    usage_thresholds integer[] NOT NULL DEFAULT '{75,90,100}',
    usage_recipients_on boolean NOT NULL DEFAULT false,
    usage_recipients text[] NOT NULL DEFAULT '{}',
    budget_recurring_credits bigint CHECK (budget_recurring_credits > 0),
    budget_once_credits bigint CHECK (budget_once_credits > 0),
    budget_once_month date CHECK (extract(day FROM budget_once_month) = 1),
    budget_thresholds integer[] NOT NULL DEFAULT '{75,90,100}',
    budget_recipients_on boolean NOT NULL DEFAULT false,
    budget_recipients text[] NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL DEFAULT '',
    CONSTRAINT usage_thresholds_are_percents CHECK (1 <= ALL (usage_thresholds) AND 200 >= ALL (usage_thresholds)),
    CONSTRAINT budget_thresholds_are_percents CHECK (1 <= ALL (budget_thresholds) AND 200 >= ALL (budget_thresholds)),
    CONSTRAINT thresholds_are_at_most_ten CHECK (cardinality(usage_thresholds) <= 10 AND cardinality(budget_thresholds) <= 10),
    CONSTRAINT budget_once_has_credits_and_month CHECK ((budget_once_credits IS NULL) = (budget_once_month IS NULL))
);
COMMENT ON TABLE alert_settings IS 'Writer: query API; each save increments version. Thresholds in percent; the row of organization_id 0 has the defaults for organizations without a row. The budget of a month, in micro-credits, is budget_once_credits in the month budget_once_month and budget_recurring_credits in all others; null: no budget. Recipients are kept while their list is off.';
INSERT INTO alert_settings (organization_id) VALUES (0);
GRANT SELECT ON alert_settings TO flexcredits_alerter;
GRANT SELECT, INSERT, UPDATE ON alert_settings TO flexcredits_api;
ALTER TABLE alert_settings ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_settings TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY deployment_defaults ON alert_settings FOR SELECT TO flexcredits_api
    USING (organization_id = 0 AND (SELECT app_organization_id()) IS NOT NULL);
CREATE POLICY one_organization ON alert_settings FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
CREATE POLICY insert_settings ON alert_settings FOR INSERT TO flexcredits_api WITH CHECK (organization_id = (SELECT app_organization_id()));
CREATE POLICY update_settings ON alert_settings FOR UPDATE TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));

CREATE TABLE alert_state (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    evaluated_at timestamptz NOT NULL
);
COMMENT ON TABLE alert_state IS 'Writer: alerter. One row per organization. A transaction that changes the firings of an organization locks this row first and reads the levels after that.';
GRANT SELECT, INSERT, UPDATE ON alert_state TO flexcredits_alerter;
ALTER TABLE alert_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_state TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_state FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE alert_firings (
    firing_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    organization_id integer NOT NULL REFERENCES organizations,
    rule text NOT NULL CHECK (rule IN ('usage', 'budget')),
    contract_id text NOT NULL,
    period_id text NOT NULL,
    threshold integer NOT NULL,
    episode integer NOT NULL CHECK (episode > 0),
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    fired_at timestamptz NOT NULL,
    used bigint NOT NULL,
    available bigint NOT NULL,
    notification text NOT NULL CHECK (notification IN ('sent', 'bundled', 'suppressed', 'backfilled')),
    mail_context json,
    resolved_at timestamptz,
    resolution text CHECK (resolution IN ('level', 'removed')),
    PRIMARY KEY (organization_id, rule, contract_id, period_id, threshold, episode),
    CONSTRAINT resolved_with_a_resolution CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
    CONSTRAINT sent_with_context CHECK ((mail_context IS NOT NULL) = (notification = 'sent'))
);
CREATE UNIQUE INDEX alert_firings_open ON alert_firings (organization_id, rule, contract_id, period_id, threshold)
    WHERE resolved_at IS NULL;
-- NULLS LAST though there are no nulls: only this index then has the order of the history, so the planner never scans the firings of other organizations.
CREATE INDEX alert_firings_by_time ON alert_firings (organization_id, firing_id DESC NULLS LAST);
COMMENT ON TABLE alert_firings IS 'Writer: alerter. A threshold was met. Open until usage falls below the threshold or the threshold is removed; the next time is a new episode. The rule budget compares a calendar month with its budget: contract_id is '''' and period_id the month, as 2026-11. Micro-credits.';
COMMENT ON COLUMN alert_firings.notification IS 'sent: by mails of this firing; bundled: by the mails of a higher threshold met at the same time; suppressed: a higher threshold was announced before; backfilled: the period had ended long before.';
COMMENT ON COLUMN alert_firings.mail_context IS 'The data of the mails.';
GRANT SELECT, INSERT, UPDATE ON alert_firings TO flexcredits_alerter;
GRANT SELECT ON alert_firings TO flexcredits_api;
ALTER TABLE alert_firings ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_firings TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_firings FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE banners (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    contract_id text NOT NULL,
    period_id text NOT NULL,
    threshold integer NOT NULL,
    episode integer NOT NULL,
    fired_at timestamptz NOT NULL
);
COMMENT ON TABLE banners IS 'Writer: alerter. The highest threshold that is met in the current credit period; no row: no banner.';
GRANT SELECT, INSERT, UPDATE, DELETE ON banners TO flexcredits_alerter;
GRANT SELECT ON banners TO flexcredits_api;
ALTER TABLE banners ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON banners TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON banners FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE banner_dismissals (
    organization_id integer NOT NULL REFERENCES organizations,
    subject text NOT NULL,
    firing_id bigint NOT NULL REFERENCES alert_firings (firing_id),
    dismissed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, subject, firing_id)
);
COMMENT ON TABLE banner_dismissals IS 'Writer: query API. Users who have dismissed the banner of a firing; the next threshold or episode is another firing.';
GRANT SELECT, INSERT ON banner_dismissals TO flexcredits_api;
ALTER TABLE banner_dismissals ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_organization ON banner_dismissals TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()))
    WITH CHECK (organization_id = (SELECT app_organization_id()));
