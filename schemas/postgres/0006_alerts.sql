-- Who is told when usage meets a threshold, and what became of it. Levels are read from the rollups, never kept here.

DO $$
BEGIN
    BEGIN
        CREATE ROLE flexcredits_alerter NOLOGIN NOSUPERUSER NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- roles belong to the cluster: another database of it may have made it
    END;
    GRANT USAGE ON SCHEMA public TO flexcredits_alerter;
END
$$;

CREATE TABLE alert_settings (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    usage_thresholds integer[] NOT NULL DEFAULT '{75,90,100}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT thresholds_are_percents CHECK (1 <= ALL (usage_thresholds) AND 200 >= ALL (usage_thresholds))
);
COMMENT ON TABLE alert_settings IS 'Writer: migrations, until there is an API. Thresholds in percent of the available credits; organization_id 0 is what holds for those without a row of their own.';
INSERT INTO alert_settings (organization_id) VALUES (0);

CREATE TABLE alert_state (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    settled_at timestamptz NOT NULL
);
COMMENT ON TABLE alert_state IS 'Writer: alerter. One row per organization, locked by whoever changes its firings; the levels are read only after that.';

CREATE TABLE alert_firings (
    firing_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    organization_id integer NOT NULL REFERENCES organizations,
    rule text NOT NULL CHECK (rule IN ('usage')),
    contract_id text NOT NULL,
    period_id text NOT NULL,
    threshold integer NOT NULL,
    episode integer NOT NULL CHECK (episode > 0),
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    fired_at timestamptz NOT NULL,
    used bigint NOT NULL,
    available bigint NOT NULL,
    told text NOT NULL CHECK (told IN ('mail', 'with_higher', 'silent', 'history')),
    facts json,
    resolved_at timestamptz,
    resolution text CHECK (resolution IN ('level', 'removed')),
    PRIMARY KEY (organization_id, rule, contract_id, period_id, threshold, episode),
    CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
    CHECK ((facts IS NOT NULL) = (told = 'mail'))
);
CREATE UNIQUE INDEX alert_firings_open ON alert_firings (organization_id, rule, contract_id, period_id, threshold)
    WHERE resolved_at IS NULL;
-- NULLS LAST, though there are none: only this index gives the history's order then, so the planner never walks through everybody's firings.
CREATE INDEX alert_firings_by_time ON alert_firings (organization_id, firing_id DESC NULLS LAST);
COMMENT ON TABLE alert_firings IS 'Writer: alerter. A threshold was met; open until the level falls under it again or the threshold is removed, and met after that it is a new episode. told: mail; with_higher, by the mail for a higher one at the same instant; silent, a higher one was announced before; history, the period had ended too long ago. facts is what the mails say. Micro-credits.';

CREATE TABLE banners (
    organization_id integer PRIMARY KEY REFERENCES organizations,
    contract_id text NOT NULL,
    period_id text NOT NULL,
    threshold integer NOT NULL,
    episode integer NOT NULL,
    fired_at timestamptz NOT NULL
);
COMMENT ON TABLE banners IS 'Writer: alerter. The highest threshold that the current credit period meets; no row, no banner.';

CREATE TABLE email_outbox (
    email_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    firing_id bigint NOT NULL REFERENCES alert_firings (firing_id),
    message_id text NOT NULL UNIQUE,
    recipient text NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CHECK ((settled_at IS NULL) = (state = 'pending'))
);
CREATE INDEX email_outbox_due ON email_outbox (due_at) WHERE state = 'pending';
CREATE INDEX email_outbox_by_firing ON email_outbox (firing_id);
COMMENT ON TABLE email_outbox IS 'Writer: alerter. One mail to one recipient. Whoever claims it moves due_at past the longest time that sending may take, so nobody else sends it meanwhile; a claim that ended with its process comes back then.';

CREATE TABLE email_attempts (
    email_id bigint NOT NULL REFERENCES email_outbox,
    organization_id integer NOT NULL REFERENCES organizations,
    attempt integer NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'refused')),
    detail text NOT NULL,
    PRIMARY KEY (email_id, attempt)
);
COMMENT ON TABLE email_attempts IS 'Writer: alerter. What the mail server said to each attempt. An attempt that ended with its process has no row.';

GRANT SELECT ON organizations, contracts, credit_periods, add_ons, members, features, agents, agent_sightings, usage_series, usage_daily,
    usage_organization_daily, alert_settings TO flexcredits_alerter;
GRANT SELECT, UPDATE, DELETE ON alert_wakeups TO flexcredits_alerter;  -- UPDATE lets it lock them
GRANT SELECT, INSERT, UPDATE ON alert_state, alert_firings, email_outbox, email_attempts TO flexcredits_alerter;
GRANT SELECT, INSERT, UPDATE, DELETE ON banners TO flexcredits_alerter;
GRANT SELECT ON alert_settings, alert_firings, banners, email_outbox, email_attempts TO flexcredits_api;

DO $$
DECLARE
    customer_table text;
BEGIN
    FOREACH customer_table IN ARRAY ARRAY['alert_settings', 'alert_state', 'alert_firings', 'banners', 'email_outbox', 'email_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', customer_table);
        EXECUTE format('CREATE POLICY alerter ON %I TO flexcredits_alerter USING (true) WITH CHECK (true)', customer_table);
        EXECUTE format('CREATE POLICY one_organization ON %I FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()))',
                       customer_table);
    END LOOP;
    FOREACH customer_table IN ARRAY ARRAY['organizations', 'contracts', 'credit_periods', 'add_ons', 'members', 'features', 'agents',
        'agent_sightings', 'usage_series', 'usage_daily', 'usage_organization_daily'] LOOP
        EXECUTE format('CREATE POLICY alerter ON %I FOR SELECT TO flexcredits_alerter USING (true)', customer_table);
    END LOOP;
END
$$;
