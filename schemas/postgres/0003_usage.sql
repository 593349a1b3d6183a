-- The ledger: one row per usage event, and what belongs to its rows.

CREATE TABLE usage_series (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    product text NOT NULL,
    feature_kind text NOT NULL,
    feature text NOT NULL,
    agent_id text NOT NULL,
    surface text NOT NULL,
    UNIQUE (organization_id, product, feature_kind, feature, agent_id, surface)
);
COMMENT ON TABLE usage_series IS 'Writer: aggregator. One row per combination of dimensions; '''' if there is no agent or no surface.';
GRANT SELECT, INSERT ON usage_series TO flexcredits_aggregator;
GRANT SELECT ON usage_series TO flexcredits_alerter, flexcredits_api, flexcredits_rebuild;
ALTER TABLE usage_series ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_series TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY alerter ON usage_series FOR SELECT TO flexcredits_alerter USING (true);
CREATE POLICY rebuild ON usage_series TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_series FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_attributions (
    attribution_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id integer NOT NULL REFERENCES organizations,
    identity uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    group_id text NOT NULL,
    labels jsonb NOT NULL,
    UNIQUE (organization_id, identity)
);
CREATE INDEX usage_attributions_by_actor ON usage_attributions (organization_id, actor_id);
COMMENT ON COLUMN usage_attributions.identity IS 'Hash of the other columns: together they may be too long for an index.';
COMMENT ON TABLE usage_attributions IS 'Writer: aggregator. One row per combination of actor, group and labels in usage; empty texts if there is no actor or no group, {} if there are no labels. Usage without all of them has no row.';
GRANT SELECT, INSERT ON usage_attributions TO flexcredits_aggregator;
GRANT SELECT ON usage_attributions TO flexcredits_api, flexcredits_rebuild;
ALTER TABLE usage_attributions ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_attributions TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_attributions TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_attributions FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

-- The alias of a person in organizations that do not show names. Only who has the key can compute it from an id.
CREATE FUNCTION actor_alias(alias_key uuid, actor_id text) RETURNS text
    LANGUAGE sql STABLE
    RETURN 'Person ' || upper(substr(encode(sha256(convert_to(alias_key::text || actor_id, 'UTF8')), 'hex'), 1, 10));

-- The id of an actor as the organization shows it: null without an actor, for removed people, and if only groups are shown.
CREATE FUNCTION shown_actor(people text, alias_key uuid, actor_kind text, actor_id text, removed boolean) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN people = 'groups_only' OR coalesce(actor_id, '') = '' OR coalesce(removed, false) THEN NULL
                WHEN people = 'named' OR actor_kind = 'service_account' THEN actor_id ELSE actor_alias(alias_key, actor_id) END;

-- Attributions as an organization may see them: a row for each range of days in which usage of the attribution belongs to one group.
-- membership: 'then' takes the group of the use, else the actor's group of the day; 'now' the actor's group of today, else that of the
-- use; 'none' no group. Unless the organization shows names, actor is the alias of a person. labels has only declared keys.
CREATE FUNCTION shown_attributions(of_organization integer, membership text, today date)
    RETURNS TABLE (attribution_id bigint, first_on date, last_on date, actor_kind text, actor text, removed boolean, group_id text,
        labels jsonb)
    LANGUAGE sql STABLE
    AS $$
        SELECT a.attribution_id, coalesce(member.first_on, '-infinity'), coalesce(member.last_on, 'infinity'), a.actor_kind,
            CASE WHEN a.actor_kind = 'user' AND o.people <> 'named' THEN actor_alias(o.alias_key, a.actor_id) ELSE a.actor_id END,
            coalesce(known.removed, false),
            CASE membership WHEN 'then' THEN coalesce(nullif(a.group_id, ''), member.group_id, '')
                WHEN 'now' THEN coalesce(nullif(member.group_id, ''), a.group_id) ELSE '' END,
            CASE WHEN a.labels = '{}' THEN a.labels
                ELSE (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(a.labels) WHERE key = ANY(o.label_keys)) END
        FROM usage_attributions AS a
        JOIN organizations AS o ON o.organization_id = of_organization
        LEFT JOIN actors AS known ON known.organization_id = of_organization AND known.actor_id = a.actor_id
        LEFT JOIN (
            SELECT m.actor_id, coalesce(m.groups[1], '') AS group_id,
                CASE WHEN row_number() OVER entries = 1 THEN '-infinity' ELSE m.effective_from END AS first_on,
                coalesce(lead(m.effective_from) OVER entries - 1, 'infinity') AS last_on
            FROM actor_groups AS m WHERE m.organization_id = of_organization AND membership = 'then'
            WINDOW entries AS (PARTITION BY m.actor_id ORDER BY m.effective_from)
            UNION ALL
            (SELECT DISTINCT ON (m.actor_id) m.actor_id, coalesce(m.groups[1], ''), '-infinity', 'infinity'
            FROM actor_groups AS m WHERE m.organization_id = of_organization AND membership = 'now'
            ORDER BY m.actor_id, m.effective_from <= today DESC, abs(m.effective_from - today))
        ) AS member ON member.actor_id = a.actor_id AND (membership = 'now' OR a.group_id = '')
        WHERE a.organization_id = of_organization
    $$;

CREATE TABLE usage_ledger (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    organization_id integer NOT NULL,
    series_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    credits bigint NOT NULL,
    received_at timestamptz NOT NULL,
    kafka_offset bigint NOT NULL,
    kafka_partition integer NOT NULL,
    held boolean NOT NULL,
    rate_id integer,
    quantity bigint,
    corrected bigint,
    corrects_bucket integer,
    corrects uuid,
    attribution_id bigint,
    run uuid,
    quantities jsonb,
    PRIMARY KEY (ledger_bucket, identity)
) PARTITION BY LIST (ledger_bucket);
-- Finds the corrections of an event, for its receipt. Partial, so that the insert of usage does not touch it.
CREATE INDEX usage_ledger_corrections ON usage_ledger (corrects) WHERE corrects IS NOT NULL;
-- Finds the uses of a run in their order. Two organizations may use the same run ids.
CREATE INDEX usage_ledger_runs ON usage_ledger (organization_id, run, occurred_at) WHERE run IS NOT NULL;
COMMENT ON COLUMN usage_ledger.run IS 'Key of usage_runs. A correction has the attribution and the run of its original.';
COMMENT ON COLUMN usage_ledger.quantities IS 'Of usage with several units: by unit, a list of the quantity in millionths and the rate_id; the rate_id is null while held.';
COMMENT ON TABLE usage_ledger IS 'Writer: aggregator. One row per event identity, counted or held. corrected is the sum of an event''s corrections, so that original plus corrections never falls below 0. Credits and quantity in millionths.';
-- The aggregator deletes the row of a held correction that is rejected in the end.
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_ledger TO flexcredits_aggregator;
GRANT SELECT ON usage_ledger TO flexcredits_api, flexcredits_rebuild;
ALTER TABLE usage_ledger ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_ledger TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_ledger TO flexcredits_rebuild USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON usage_ledger FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE usage_held (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    organization_id integer NOT NULL,
    series_id integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    credits bigint,
    quantity bigint,
    unit text,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    waits_for text NOT NULL CHECK (waits_for IN ('organization', 'rate', 'original', 'sum_limit')),
    corrects_bucket integer,
    corrects uuid,
    attribution_id bigint,
    run uuid,
    run_id text,
    parent_id text,
    quantities jsonb,
    value bytea,
    PRIMARY KEY (ledger_bucket, identity)
);
CREATE INDEX usage_held_by_organization ON usage_held (organization_id, series_id, kafka_partition, kafka_offset);
-- Usage beyond the limit of sums may be millions of rows: searches for releasable usage leave it out.
CREATE INDEX usage_held_waiting ON usage_held (organization_id, series_id, kafka_partition, kafka_offset) INCLUDE (unit)
    WHERE waits_for <> 'sum_limit';
CREATE INDEX usage_held_corrections ON usage_held (corrects, corrects_bucket) WHERE corrects IS NOT NULL;
COMMENT ON TABLE usage_held IS 'Writer: aggregator. Usage that waits for its organization, rate or original, or is beyond the limit of sums; a row is deleted in the transaction that counts it. value is the record of a correction, which may still be rejected.';
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_held TO flexcredits_aggregator;
GRANT SELECT ON usage_held TO flexcredits_api, flexcredits_rebuild;
ALTER TABLE usage_held ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON usage_held TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON usage_held FOR SELECT TO flexcredits_rebuild USING (true);
CREATE POLICY one_organization ON usage_held FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE ledger_strays (
    id_day integer NOT NULL,
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (id_day, ledger_bucket, identity)
);
COMMENT ON TABLE ledger_strays IS 'Writer: aggregator. Identities in a hash partition of the ledger because the day in their id (days since 1970) has no partition: the id was created long before its use, or by a wrong clock. ensure_ledger_partition() moves them when it creates the partition.';
GRANT SELECT, INSERT ON ledger_strays TO flexcredits_aggregator;

CREATE TABLE correction_reasons (
    ledger_bucket integer NOT NULL,
    identity uuid NOT NULL,
    organization_id integer NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (ledger_bucket, identity)
);
COMMENT ON TABLE correction_reasons IS 'Writer: aggregator. The reason of a correction in the ledger, counted or held.';
-- UPDATE: a rejected held correction frees its identity; the same correction sent again overwrites the reason.
GRANT SELECT, INSERT, UPDATE (organization_id, reason) ON correction_reasons TO flexcredits_aggregator;
GRANT SELECT ON correction_reasons TO flexcredits_api;
ALTER TABLE correction_reasons ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON correction_reasons TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON correction_reasons FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));

CREATE TABLE ledger_seals (
    ledger_bucket integer NOT NULL,
    organization_id integer NOT NULL,
    events bigint NOT NULL,
    credits bigint NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ledger_bucket, organization_id)
);
COMMENT ON TABLE ledger_seals IS 'Writer: drop_expired_partitions(). Sums of the counted ledger rows that retention has deleted.';
GRANT SELECT ON ledger_seals TO flexcredits_api;
ALTER TABLE ledger_seals ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON ledger_seals TO flexcredits_aggregator USING (true) WITH CHECK (true);
CREATE POLICY one_organization ON ledger_seals FOR SELECT TO flexcredits_api USING (organization_id = (SELECT app_organization_id()));
