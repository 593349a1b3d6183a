-- Usage beyond the limit of new attributions is Other in files, too.

-- Usage of a day by who used it, as the organization shows people: files use it. All rows of a series add up to its row of usage_daily.
-- actor_kind is user, service_account, removed, other (beyond the limit) or unattributed (no actor). A group counts as on that day. labels has
-- only declared keys; all of them, without a value, for labels beyond the limit. While only groups are shown, all usage is unattributed,
-- because a row may be about one person.
CREATE OR REPLACE FUNCTION usage_by_people(of_organization integer, on_day date)
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
            CASE WHEN a.actor_kind = 'other' THEN 'other' WHEN a.actor_id = '' THEN 'unattributed' WHEN p.removed THEN 'removed'
                ELSE a.actor_kind END AS actor_kind,
            shown_actor(o.people, o.alias_key, a.actor_kind, a.actor_id, p.removed) AS actor_id,
            coalesce(nullif(a.group_id, ''), m.group_id, '') AS group_id,
            CASE WHEN a.labels ? '' THEN (SELECT jsonb_object_agg(key, ''::text) FROM unnest(o.label_keys) AS key)
                WHEN a.labels <> '{}' THEN
                (SELECT jsonb_object_agg(label.key, label.value) FROM jsonb_each(a.labels) AS label WHERE label.key = ANY(o.label_keys)) END
                AS labels
        FROM usage_attributions a JOIN organizations o ON o.organization_id = of_organization
        LEFT JOIN actors p ON p.organization_id = of_organization AND p.actor_id = a.actor_id
        LEFT JOIN memberships m ON m.actor_id = a.actor_id
        WHERE a.organization_id = of_organization AND a.attribution_id IN (SELECT attribution_id FROM used)
    ), named AS (
        SELECT s.attribution_id, s.actor_kind, s.actor_id,
            CASE s.actor_kind WHEN 'unattributed' THEN 'Unattributed' WHEN 'removed' THEN 'Removed people' WHEN 'other' THEN 'Other'
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
