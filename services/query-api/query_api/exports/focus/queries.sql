-- name: copy_focus_people
-- Usage of a day by series, actor and group, in the order of the given series. Corrections are in it.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT (label.position - 1)::integer AS label, used.actor_kind, nullif(used.actor_id, '') AS actor_id, nullif(used.group_id, '') AS group_id,
    used.credits, used.events
FROM unnest($3::integer[]) WITH ORDINALITY AS label(series_id, position)
JOIN (
    SELECT series_id, actor_kind, actor_id, group_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM usage_by_people($1, $2)
    WHERE ($4::text IS NULL OR actor_id = $4::text) AND ($5::text[] IS NULL OR group_id = ANY($5::text[]))
        AND ($6::text IS NULL OR labels ->> $6::text = $7::text)
    GROUP BY series_id, actor_kind, actor_id, group_id
) AS used ON used.series_id = label.series_id
WHERE used.credits <> 0 OR used.events <> 0
ORDER BY label.position, used.actor_kind, used.actor_id COLLATE "C", used.group_id COLLATE "C"
