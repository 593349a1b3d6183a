-- upgrade: nothing to stop; evaluations of alerts wait until the key is built. An alerter of the previous version takes alerts on projected use for alerts on use: replace all of them before a projected threshold is saved.
-- Thresholds of projected use, the last projection of each period, and the kind of an alert.

ALTER TABLE alert_settings
    ADD COLUMN usage_projected_thresholds integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN budget_projected_thresholds integer[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT projected_thresholds_are_percents CHECK (1 <= ALL (usage_projected_thresholds) AND 200 >= ALL (usage_projected_thresholds)
        AND 1 <= ALL (budget_projected_thresholds) AND 200 >= ALL (budget_projected_thresholds)),
    ADD CONSTRAINT projected_thresholds_are_at_most_ten CHECK (cardinality(usage_projected_thresholds) <= 10 AND cardinality(budget_projected_thresholds) <= 10);

ALTER TABLE alert_firings
    ADD COLUMN kind text NOT NULL DEFAULT 'used' CHECK (kind IN ('used', 'projected')),
    ADD COLUMN passed_p10 date,
    ADD COLUMN passed_p50 date,
    ADD COLUMN passed_p90 date,
    DROP CONSTRAINT alert_firings_pkey,
    ADD PRIMARY KEY (organization_id, rule, contract_id, period_id, kind, threshold, episode),
    ADD CONSTRAINT projected_with_a_date CHECK ((passed_p50 IS NOT NULL) = (kind = 'projected'));
DROP INDEX alert_firings_open;
CREATE UNIQUE INDEX alert_firings_open ON alert_firings (organization_id, rule, contract_id, period_id, kind, threshold)
    WHERE resolved_at IS NULL;
COMMENT ON COLUMN alert_firings.kind IS 'used: use met the threshold. projected: use is projected to pass the threshold on the day passed_p50, in 8 of 10 cases between passed_p10 and passed_p90 (null: not in the period), as known when it fired.';
COMMENT ON COLUMN alert_firings.notification IS 'sent: by mails of this firing; bundled: by the mails of a higher threshold met at the same time; suppressed: a higher threshold was announced before or, for projected use, a mail about the period was sent that day; backfilled: the period had ended long before.';

ALTER TABLE banners ADD COLUMN kind text NOT NULL DEFAULT 'used';
COMMENT ON TABLE banners IS 'Writer: alerter. The highest threshold that use meets in the current credit period, or the highest that use is projected to pass if that fired later; no row: no banner.';

CREATE TABLE alert_projections (
    organization_id integer NOT NULL REFERENCES organizations,
    rule text NOT NULL CHECK (rule IN ('usage', 'budget')),
    contract_id text NOT NULL,
    period_id text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    day date NOT NULL,
    available bigint NOT NULL,
    thresholds integer[] NOT NULL,
    permilles integer[] NOT NULL,
    p10 date[] NOT NULL,
    p50 date[] NOT NULL,
    p90 date[] NOT NULL,
    refusal text,
    detail text,
    projected_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, rule),
    CONSTRAINT all_thresholds_or_refused CHECK (CASE WHEN refusal IS NULL THEN cardinality(thresholds) ELSE 0 END = ALL (ARRAY[cardinality(permilles), cardinality(p10), cardinality(p50), cardinality(p90)]))
);
COMMENT ON TABLE alert_projections IS 'Writer: alerter. The last projection of the current credit period or month of an organization that has projected thresholds, or is near a threshold: for each threshold, with which probability and when use passes it. Made once for each day of the organization''s zone, and again when thresholds, available micro-credits or the period''s dates have changed. refusal: why there is none.';
GRANT SELECT, INSERT, UPDATE ON alert_projections TO flexcredits_alerter;
GRANT SELECT ON alert_projections TO flexcredits_api;
ALTER TABLE alert_projections ENABLE ROW LEVEL SECURITY;
CREATE POLICY alerter ON alert_projections TO flexcredits_alerter USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON alert_projections FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- What a projection reads, and what refuses one.
GRANT SELECT ON usage_15m, partition_progress, partition_ends TO flexcredits_alerter;
GRANT SELECT (organization_id) ON usage_held TO flexcredits_alerter;
GRANT SELECT (organization_id, topic) ON quarantined_records TO flexcredits_alerter;
CREATE POLICY alerter ON usage_15m FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY alerter ON usage_held FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY alerter ON quarantined_records FOR SELECT TO flexcredits_alerter USING (true);
