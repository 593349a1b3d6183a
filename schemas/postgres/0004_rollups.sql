-- Sums of the ledger at several grains. Rows of several replicas are kept apart by kafka_partition where many events meet one row.

CREATE TABLE usage_15m (
    organization_id integer NOT NULL,
    bucket_at timestamptz NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, bucket_at, series_id)
) PARTITION BY RANGE (bucket_at);
COMMENT ON TABLE usage_15m IS 'Writer: aggregator. Micro-credits per quarter of an hour, UTC.';
GRANT SELECT, INSERT, UPDATE ON usage_15m TO flexcredits_aggregator;
GRANT SELECT ON usage_15m TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_15m TO flexcredits_rebuild;
ALTER TABLE usage_15m ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_15m TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_15m TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_15m FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_daily (
    organization_id integer NOT NULL,
    day date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, series_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_daily IS 'Writer: aggregator. Micro-credits per day of the organization''s time zone. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_daily TO flexcredits_aggregator;
GRANT SELECT ON usage_daily TO flexcredits_alerter, flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_daily TO flexcredits_rebuild;
ALTER TABLE usage_daily ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_daily TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_daily FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON usage_daily TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_daily FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_monthly (
    organization_id integer NOT NULL,
    month date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, month, series_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_monthly IS 'Writer: aggregator. Micro-credits per calendar month of the organization''s time zone, the sum of its days; month is its first day. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_monthly TO flexcredits_aggregator;
GRANT SELECT ON usage_monthly TO flexcredits_alerter, flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_monthly TO flexcredits_rebuild;
ALTER TABLE usage_monthly ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_monthly TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_monthly FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON usage_monthly TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_monthly FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_corrections (
    organization_id integer NOT NULL,
    day date NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    corrections bigint NOT NULL,
    PRIMARY KEY (organization_id, day, series_id)
);
COMMENT ON TABLE usage_corrections IS 'Writer: aggregator. The signed micro-credits that corrections contribute to a row of usage_daily, and the number of these corrections. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_corrections TO flexcredits_aggregator;
GRANT SELECT ON usage_corrections TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_corrections TO flexcredits_rebuild;
ALTER TABLE usage_corrections ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_corrections TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_corrections TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_corrections FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_late (
    organization_id integer NOT NULL,
    day date NOT NULL,
    received_on date NOT NULL,
    product text NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, received_on, product)
);
COMMENT ON TABLE usage_late IS 'Writer: aggregator. Usage received on a later day than the day on which it counts, both in the organization''s time zone. Corrections are in credits and not in events. Micro-credits. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_late TO flexcredits_aggregator;
GRANT SELECT ON usage_late TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_late TO flexcredits_rebuild;
ALTER TABLE usage_late ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_late TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_late TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_late FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_organization_daily (
    organization_id integer NOT NULL,
    day date NOT NULL,
    product text NOT NULL,
    kafka_partition integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, product, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_organization_daily IS 'Writer: aggregator. Micro-credits per organization, day and product. kafka_partition is in the key so that replicas never update the same row.';
GRANT SELECT, INSERT, UPDATE ON usage_organization_daily TO flexcredits_aggregator;
GRANT SELECT ON usage_organization_daily TO flexcredits_alerter, flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_organization_daily TO flexcredits_rebuild;
ALTER TABLE usage_organization_daily ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_organization_daily TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_organization_daily FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON usage_organization_daily TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_organization_daily FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_organization_monthly (
    organization_id integer NOT NULL,
    month date NOT NULL,
    product text NOT NULL,
    kafka_partition integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, month, product, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_organization_monthly IS 'Writer: aggregator. The sum of usage_organization_daily over a calendar month, so that totals, credit periods and budgets do not read years of days; month is its first day. Micro-credits. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_organization_monthly TO flexcredits_aggregator;
GRANT SELECT ON usage_organization_monthly TO flexcredits_alerter, flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_organization_monthly TO flexcredits_rebuild;
ALTER TABLE usage_organization_monthly ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_organization_monthly TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_organization_monthly FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON usage_organization_monthly TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_organization_monthly FOR SELECT TO flexcredits_api
    USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_attributed_daily (
    organization_id integer NOT NULL,
    day date NOT NULL,
    attribution_id bigint NOT NULL,
    series_id integer NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, day, attribution_id, series_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_attributed_daily IS 'Writer: aggregator. The part of usage_daily that names an actor, a group or labels. Micro-credits per day of the organization''s time zone. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_attributed_daily TO flexcredits_aggregator;
GRANT SELECT ON usage_attributed_daily TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_attributed_daily TO flexcredits_rebuild;
ALTER TABLE usage_attributed_daily ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_attributed_daily TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_attributed_daily TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_attributed_daily FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_attributed_monthly (
    organization_id integer NOT NULL,
    month date NOT NULL,
    attribution_id bigint NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (organization_id, month, attribution_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE usage_attributed_monthly IS 'Writer: aggregator. The sum of usage_attributed_daily over a calendar month and all series; month is its first day. Micro-credits. Never dropped.';
GRANT SELECT, INSERT, UPDATE ON usage_attributed_monthly TO flexcredits_aggregator;
GRANT SELECT ON usage_attributed_monthly TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_attributed_monthly TO flexcredits_rebuild;
ALTER TABLE usage_attributed_monthly ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_attributed_monthly TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_attributed_monthly TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_attributed_monthly FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_runs (
    organization_id integer NOT NULL,
    run uuid NOT NULL,
    run_id text NOT NULL,
    parent_id text NOT NULL,
    credits bigint NOT NULL,
    events bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    agent_id text NOT NULL,
    attribution_id bigint NOT NULL,
    PRIMARY KEY (organization_id, run)
) WITH (fillfactor = 50);
CREATE INDEX usage_runs_by_time ON usage_runs (organization_id, first_at);
CREATE INDEX usage_runs_by_parent ON usage_runs (organization_id, parent_id) WHERE parent_id <> '';
CREATE INDEX usage_runs_by_attribution ON usage_runs (organization_id, attribution_id, first_at) WHERE attribution_id <> 0;
COMMENT ON TABLE usage_runs IS 'Writer: aggregator. Counted usage per run: a conversation, a workflow run or a trace. run is run_identity_of(run_id). Times are those of its first and last use, without corrections. agent_id and attribution_id are those of the first use (of equal times, the smallest agent_id, then the smallest attribution_id), empty and 0 if it has none. parent_id is the largest one given, empty if none is. Deleted when last_at leaves the window of the ledger.';
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_runs TO flexcredits_aggregator;
GRANT SELECT ON usage_runs TO flexcredits_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_runs TO flexcredits_rebuild;
ALTER TABLE usage_runs ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_runs TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_runs TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_runs FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- Usage of a day by who used it, as the organization shows people: files use it. All rows of a series add up to its row of usage_daily.
-- actor_kind is user, service_account, removed or unattributed (no actor). A group counts as on that day. While only groups are shown, all
-- usage is unattributed, because a row may be about one person.
CREATE FUNCTION usage_by_people(of_organization integer, on_day date)
    RETURNS TABLE (series_id integer, actor_kind text, actor_id text, actor_name text, group_id text, group_name text, labels jsonb,
        credits bigint, events bigint)
    LANGUAGE sql STABLE AS $$
    WITH used AS (
        SELECT u.attribution_id, u.series_id, u.credits, u.events FROM usage_attributed_daily u
        JOIN organizations o ON o.organization_id = u.organization_id AND o.people <> 'groups_only'
        WHERE u.organization_id = of_organization AND u.day = on_day
    ), memberships AS (
        SELECT DISTINCT ON (m.actor_id) m.actor_id, coalesce(m.groups[1], '') AS group_id FROM actor_groups m
        WHERE m.organization_id = of_organization ORDER BY m.actor_id, m.effective_from <= on_day DESC, abs(m.effective_from - on_day)
    ), shown AS MATERIALIZED (
        SELECT a.attribution_id, o.people, p.display_name, p.email,
            CASE WHEN a.actor_id = '' THEN 'unattributed' WHEN p.removed THEN 'removed' ELSE a.actor_kind END AS actor_kind,
            shown_actor(o.people, o.alias_key, a.actor_kind, a.actor_id, p.removed) AS actor_id,
            coalesce(nullif(a.group_id, ''), m.group_id, '') AS group_id,
            CASE WHEN a.labels <> '{}' THEN
                (SELECT jsonb_object_agg(label.key, label.value) FROM jsonb_each(a.labels) AS label WHERE label.key = ANY(o.label_keys)) END
                AS labels
        FROM usage_attributions a JOIN organizations o ON o.organization_id = of_organization
        LEFT JOIN actors p ON p.organization_id = of_organization AND p.actor_id = a.actor_id
        LEFT JOIN memberships m ON m.actor_id = a.actor_id
        WHERE a.organization_id = of_organization AND a.attribution_id IN (SELECT attribution_id FROM used)
    ), named AS (
        SELECT s.attribution_id, s.actor_kind, s.actor_id,
            CASE s.actor_kind WHEN 'unattributed' THEN 'Unattributed' WHEN 'removed' THEN 'Removed people'
                ELSE coalesce(CASE WHEN s.people = 'named' THEN coalesce(s.display_name, s.email) END, s.actor_id) END AS actor_name,
            nullif(s.group_id, '') AS group_id, CASE WHEN s.group_id <> '' THEN coalesce(g.name, s.group_id) END AS group_name, s.labels
        FROM shown s LEFT JOIN people_groups g ON g.organization_id = of_organization AND g.group_id = s.group_id
    )
    SELECT u.series_id, n.actor_kind, n.actor_id, n.actor_name, n.group_id, n.group_name, n.labels, sum(u.credits)::bigint, sum(u.events)::bigint
    FROM used u JOIN named n USING (attribution_id)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    UNION ALL
    SELECT d.series_id, 'unattributed', NULL, 'Unattributed', NULL, NULL, NULL, d.credits - coalesce(a.credits, 0), d.events - coalesce(a.events, 0)
    FROM usage_daily d
    LEFT JOIN (SELECT u.series_id, sum(u.credits)::bigint AS credits, sum(u.events)::bigint AS events FROM used u GROUP BY 1) AS a USING (series_id)
    WHERE d.organization_id = of_organization AND d.day = on_day
        AND (d.credits <> coalesce(a.credits, 0) OR d.events <> coalesce(a.events, 0))
$$;
