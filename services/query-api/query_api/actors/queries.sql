-- name: select_who
-- Actor, group and declared labels of the attributions $2, each on its day in $3, as the organization shows people.
-- No row while only groups are shown, because a use or a run is one person's. `place` counts from 1.
SELECT w.place::integer AS place, a.actor_kind, coalesce(p.removed, false) AS removed,
    shown.actor_id, CASE WHEN o.people = 'named' AND shown.actor_id IS NOT NULL THEN coalesce(p.display_name, p.email) END AS actor_name,
    nullif(counted.group_id, '') AS group_id, coalesce(g.name, nullif(counted.group_id, '')) AS group_name,
    CASE WHEN a.labels ? '' THEN (SELECT coalesce(jsonb_object_agg(key, ''::text), '{}') FROM unnest(o.label_keys) AS key)
        ELSE (SELECT coalesce(jsonb_object_agg(label.key, label.value), '{}') FROM jsonb_each_text(a.labels) AS label
            WHERE label.key = ANY(o.label_keys)) END AS labels
FROM unnest($2::bigint[], $3::date[]) WITH ORDINALITY AS w(attribution_id, day, place)
JOIN usage_attributions a ON a.attribution_id = w.attribution_id AND a.organization_id = $1
JOIN organizations o ON o.organization_id = $1 AND o.people <> 'groups_only'
LEFT JOIN actors p ON p.organization_id = $1 AND p.actor_id = a.actor_id
CROSS JOIN LATERAL (SELECT group_then($1, a.group_id, a.actor_id, w.day) AS group_id) AS counted
CROSS JOIN LATERAL (SELECT shown_actor(o.people, o.alias_key, a.actor_kind, a.actor_id, p.removed) AS actor_id) AS shown
LEFT JOIN people_groups g ON g.organization_id = $1 AND g.group_id = counted.group_id
