-- name: select_large_groups
-- Groups in which at least $4 people have usage in a range of days.
SELECT group_id FROM (
    WITH used AS (
        SELECT DISTINCT u.day, u.attribution_id FROM usage_attributed_daily u WHERE u.organization_id = $1 AND u.day BETWEEN $2 AND $3
    ), memberships AS (
        SELECT actor_id, groups[1] AS group_id, lead(effective_from) OVER by_day AS next_from,
            CASE WHEN row_number() OVER by_day > 1 THEN effective_from ELSE '-infinity' END AS applies_from
        FROM actor_groups WHERE organization_id = $1 WINDOW by_day AS (PARTITION BY actor_id ORDER BY effective_from)
    )
    SELECT a.group_id, a.actor_id FROM used JOIN usage_attributions a USING (attribution_id)
    WHERE a.organization_id = $1 AND a.actor_kind = 'user' AND a.group_id <> ''
    UNION ALL
    SELECT m.group_id, a.actor_id FROM used JOIN usage_attributions a USING (attribution_id)
    JOIN memberships m ON m.actor_id = a.actor_id AND used.day >= m.applies_from AND (m.next_from IS NULL OR used.day < m.next_from)
    WHERE a.organization_id = $1 AND a.actor_kind = 'user' AND a.group_id = '' AND m.group_id <> ''
) AS people GROUP BY group_id HAVING count(DISTINCT actor_id) >= $4::integer

-- name: select_who
-- Actor, group and declared labels of the attributions $2, each on its day in $3, as the organization shows people.
-- While only groups are shown, a group that is not in $4 is small. `place` counts from 1.
SELECT w.place::integer AS place, a.actor_kind, o.people <> 'groups_only' AND coalesce(p.removed, false) AS removed,
    shown.actor_id, CASE WHEN o.people = 'named' AND shown.actor_id IS NOT NULL THEN coalesce(p.display_name, p.email) END AS actor_name,
    CASE WHEN shown.is_small THEN NULL ELSE nullif(counted.group_id, '') END AS group_id,
    CASE WHEN shown.is_small THEN NULL ELSE coalesce(g.name, nullif(counted.group_id, '')) END AS group_name, shown.is_small,
    (SELECT coalesce(jsonb_object_agg(label.key, label.value), '{}') FROM jsonb_each_text(a.labels) AS label
     WHERE label.key = ANY(o.label_keys)) AS labels
FROM unnest($2::bigint[], $3::date[]) WITH ORDINALITY AS w(attribution_id, day, place)
JOIN usage_attributions a ON a.attribution_id = w.attribution_id AND a.organization_id = $1
JOIN organizations o ON o.organization_id = $1
LEFT JOIN actors p ON p.organization_id = $1 AND p.actor_id = a.actor_id
CROSS JOIN LATERAL (SELECT group_then($1, a.group_id, a.actor_id, w.day) AS group_id) AS counted
CROSS JOIN LATERAL (SELECT shown_actor(o.people, o.alias_key, a.actor_kind, a.actor_id, p.removed) AS actor_id,
    o.people = 'groups_only' AND counted.group_id <> '' AND NOT counted.group_id = ANY($4::text[]) AS is_small) AS shown
LEFT JOIN people_groups g ON g.organization_id = $1 AND g.group_id = counted.group_id
