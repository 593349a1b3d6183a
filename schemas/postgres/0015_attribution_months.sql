-- New attributions by month, so that an organization whose labels differ in each event does not fill the disk.

CREATE TABLE attribution_months (
    organization_id integer NOT NULL REFERENCES organizations,
    month date NOT NULL,
    created bigint NOT NULL,
    folded bigint NOT NULL,
    PRIMARY KEY (organization_id, month)
);
COMMENT ON TABLE attribution_months IS 'Writer: aggregator. created: rows of usage_attributions that the organization created in a month (UTC, of receipt), up to a limit. folded: combinations beyond the limit, once for each process that met them; they count as one combination with an unnamed label.';
GRANT SELECT, INSERT, UPDATE ON attribution_months TO flexcredits_aggregator;
ALTER TABLE attribution_months ENABLE ROW LEVEL SECURITY;
CREATE POLICY aggregator ON attribution_months TO flexcredits_aggregator USING (true) WITH CHECK (true);

-- Attributions as an organization may see them: a row for each range of days in which usage of the attribution belongs to one group.
-- membership: 'then' takes the group of the use, else the actor's group of the day; 'now' the actor's group of today, else that of the
-- use; 'none' no group. Unless the organization shows names, actor is the alias of a person. labels has only declared keys; all of
-- them, without a value, for labels beyond the limit.
CREATE OR REPLACE FUNCTION shown_attributions(of_organization integer, membership text, today date)
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
                WHEN a.labels ? '' THEN (SELECT coalesce(jsonb_object_agg(key, ''::text), '{}') FROM unnest(o.label_keys) AS key)
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
