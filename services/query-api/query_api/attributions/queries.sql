-- name: select_people_settings
-- How the organization shows people, and the keys of labels that it declares.
SELECT people, label_keys FROM organizations WHERE organization_id = $1

-- name: select_attributions
-- Attributions as the organization may see them: for each, the ranges of days in which its usage belongs to one group.
-- One more than SPANS_MAX. $2 is the membership (none, then, now), $3 today. Each filter may be null: $4 an actor, $5 groups, $7 the value of the label $6.
-- $8 is the key of another label, $9 selects attributions (null: all). shown_attributions() hides keys that are not declared.
SELECT attribution_id, first_on, last_on, actor_kind, actor, removed, group_id, labels ->> $8::text AS value, labels ->> $6::text AS filtered
FROM shown_attributions($1, $2, $3)
WHERE ($4::text IS NULL OR actor = $4) AND ($5::text[] IS NULL OR group_id = ANY($5)) AND ($7::text IS NULL OR labels ->> $6::text = $7)
    AND ($9::bigint[] IS NULL OR attribution_id = ANY($9))
LIMIT 200001

-- name: select_largest_label_keys
-- Up to three keys of labels with more than 1,000 values among 20,000 of the newest attributions, most values first.
SELECT label.key FROM (
    SELECT labels FROM usage_attributions WHERE organization_id = $1 ORDER BY attribution_id DESC LIMIT 20000
) AS newest, jsonb_each_text(newest.labels) AS label
GROUP BY label.key HAVING count(DISTINCT label.value) > 1000 ORDER BY count(DISTINCT label.value) DESC, label.key LIMIT 3

-- name: select_people_version
-- The newest catalog event of a person or group, the newest one that was applied late, and how people are shown.
-- An event that is applied late has a lower offset.
SELECT greatest((SELECT max(event_offset) FROM actors WHERE organization_id = $1),
    (SELECT max(event_offset) FROM actor_groups WHERE organization_id = $1),
    (SELECT max(event_offset) FROM people_groups WHERE organization_id = $1)) AS newest_event_offset,
    (SELECT max(reload_id) FROM catalog_reloads WHERE organization_id = $1) AS newest_reload, people, label_keys
FROM organizations WHERE organization_id = $1

-- name: select_actor_names
-- Names of these actors. No row unless the organization shows names.
SELECT a.actor_id, coalesce(a.display_name, a.email) AS name FROM actors a JOIN organizations o USING (organization_id)
WHERE a.organization_id = $1 AND o.people = 'named' AND a.actor_id = ANY($2) AND coalesce(a.display_name, a.email) IS NOT NULL

-- name: select_revealed
-- The person with the alias $2, if the organization shows aliases. Not a removed one.
SELECT used.actor_id, a.display_name, a.email
FROM (SELECT DISTINCT actor_id FROM usage_attributions WHERE organization_id = $1 AND actor_kind = 'user') AS used
JOIN organizations o ON o.organization_id = $1 AND o.people = 'pseudonymous' AND actor_alias(o.alias_key, used.actor_id) = $2
LEFT JOIN actors a ON a.organization_id = $1 AND a.actor_id = used.actor_id
WHERE NOT coalesce(a.removed, false)

-- name: select_people_groups
-- The groups of the directory.
SELECT group_id, name, parent_id FROM people_groups WHERE organization_id = $1

-- name: sum_attributions
-- Usage by attribution in ranges of days that begin on $2, as arrays for numbers_of(). Ranges as in sum_groups.
-- One more than twice ATTRIBUTIONS_MAX. $9 selects attributions by index; null reads all.
SELECT first, array_send(array_agg(attribution_id)) AS attributions, array_send(array_agg(credits)) AS credits,
    array_send(array_agg(events)) AS events
FROM (
    SELECT stretch.first, attribution_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
        AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
        SELECT attribution_id, credits, events FROM usage_attributed_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
            AND ($9::bigint[] IS NULL OR attribution_id = ANY($9))
        UNION ALL
        SELECT attribution_id, credits, events FROM usage_attributed_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
            AND ($9::bigint[] IS NULL OR attribution_id = ANY($9))
        UNION ALL
        SELECT attribution_id, credits, events FROM usage_attributed_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
            AND ($9::bigint[] IS NULL OR attribution_id = ANY($9))
    ) AS used
    GROUP BY stretch.first, attribution_id LIMIT 200001
) AS sums
GROUP BY first

-- name: read_attributed_months
-- Usage by attribution in the months from $2 to $3, as arrays for numbers_of(), with an element for each row.
-- For few months.
SELECT array_send(array_agg(attribution_id)) AS attributions, array_send(array_agg(credits)) AS credits,
    array_send(array_agg(events)) AS events
FROM (
    SELECT attribution_id, credits, events FROM usage_attributed_monthly
    WHERE organization_id = $1 AND month BETWEEN $2 AND $3 LIMIT 200001
) AS used
HAVING count(*) > 0

-- name: sum_attributions_of_series
-- As sum_attributions, from the daily rows of the series $5. Ranges begin on $2 and end on $3.
-- $4 selects attributions; null reads all.
SELECT first, array_send(array_agg(attribution_id)) AS attributions, array_send(array_agg(credits)) AS credits,
    array_send(array_agg(events)) AS events
FROM (
    SELECT stretch.first, attribution_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM unnest($2::date[], $3::date[]) AS stretch(first, last)
    JOIN usage_attributed_daily AS used ON used.day BETWEEN stretch.first AND stretch.last
    WHERE organization_id = $1 AND series_id = ANY($5::integer[]) AND ($4::bigint[] IS NULL OR attribution_id = ANY($4))
    GROUP BY stretch.first, attribution_id LIMIT 200001
) AS sums
GROUP BY first

-- name: sum_spans
-- Usage on the days from $2 to $3 of the attributions $4, each from the day in $5 to the day in $6.
-- `number` counts them from 1. $7 are series, null: all.
SELECT selected.number, sum(used.credits)::bigint AS credits, sum(used.events)::bigint AS events
FROM unnest($4::bigint[], $5::date[], $6::date[]) WITH ORDINALITY AS selected(attribution_id, first_on, last_on, number)
JOIN usage_attributed_daily AS used
    ON used.attribution_id = selected.attribution_id AND used.day BETWEEN selected.first_on AND selected.last_on
WHERE used.organization_id = $1 AND used.day BETWEEN $2 AND $3 AND used.attribution_id = ANY($4)
    AND ($7::integer[] IS NULL OR used.series_id = ANY($7))
GROUP BY selected.number

-- name: sum_cells
-- Usage on the days from $2 to $3, by row, month and cell, of attributions $4 from day $5 to $6.
-- Each is in row $7, used by person $8 (-1: no person, -2: unknown people). A cell is the values of the dimensions $9, and a day in the months $10. Sums have only days from $11 to $12 and the series $13 (null: all).
-- A person counts with a sum of credits other than 0: corrections may have cancelled all of it. has_people: a person used some of it.
SELECT row, month, cell, sum(asked_credits)::bigint AS credits, sum(asked_events)::bigint AS events,
    coalesce(array_agg(person) FILTER (WHERE person >= 0 AND credits <> 0), '{}') AS people,
    coalesce(bool_or(is_used) FILTER (WHERE person <> -1), false) AS has_people,
    coalesce(array_agg(person) FILTER (WHERE person >= 0 AND asked_credits <> 0), '{}') AS asked_people,
    coalesce(bool_or(is_asked_used) FILTER (WHERE person <> -1), false) AS has_asked_people
FROM (
    SELECT selected.row, selected.person, date_trunc('month', used.day)::date AS month,
        concat_ws(chr(31), CASE WHEN date_trunc('month', used.day)::date = ANY($10::date[]) THEN used.day::text ELSE '' END,
            CASE WHEN 'product' = ANY($9::text[]) THEN s.product END, CASE WHEN 'feature_kind' = ANY($9) THEN s.feature_kind END,
            CASE WHEN 'feature' = ANY($9) THEN s.feature END, CASE WHEN 'agent' = ANY($9) THEN s.agent_id END,
            CASE WHEN 'surface' = ANY($9) THEN s.surface END) AS cell,
        sum(used.credits) AS credits, bool_or(used.credits <> 0 OR used.events <> 0) AS is_used,
        coalesce(sum(used.credits) FILTER (WHERE shown.is_asked), 0) AS asked_credits,
        coalesce(sum(used.events) FILTER (WHERE shown.is_asked), 0) AS asked_events,
        bool_or(shown.is_asked AND (used.credits <> 0 OR used.events <> 0)) AS is_asked_used
    FROM unnest($4::bigint[], $5::date[], $6::date[], $7::integer[], $8::integer[]) AS selected(attribution_id, first_on, last_on, row, person)
    JOIN usage_attributed_daily AS used ON used.organization_id = $1 AND used.attribution_id = selected.attribution_id
        AND used.day BETWEEN selected.first_on AND selected.last_on
    JOIN usage_series AS s ON s.organization_id = $1 AND s.series_id = used.series_id
    CROSS JOIN LATERAL (
        SELECT used.day BETWEEN $11::date AND $12::date AND ($13::integer[] IS NULL OR used.series_id = ANY($13)) AS is_asked
    ) AS shown
    WHERE used.day BETWEEN $2 AND $3
    GROUP BY 1, 2, 3, 4
) AS of_people
GROUP BY 1, 2, 3

-- name: count_attributed
-- Events on the days from $2 to $3 that name an actor, a group or labels.
SELECT coalesce(sum(events), 0)::bigint AS events FROM usage_attributed_daily WHERE organization_id = $1 AND day BETWEEN $2 AND $3

-- name: select_ledger_size
-- Bytes of these partitions of the ledger (null: all), and whether it has an index for hours of people.
-- docs/people.md describes the index.
SELECT coalesce(sum(pg_relation_size(i.inhrelid)), 0)::bigint AS bytes, to_regclass('usage_ledger_of_people') IS NOT NULL AS has_index
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'usage_ledger'::regclass AND ($1::integer[] IS NULL OR c.relname::text IN (
    SELECT 'usage_ledger_' || CASE WHEN bucket < 0 THEN 'hash_' || -bucket ELSE to_char(date '1970-01-01' + bucket, 'YYYYMMDD') END
    FROM unnest($1) AS bucket))

-- name: sum_selected_quarters
-- Usage in the ledger, by group and bucket of time.
-- Of attributions $5, each from an instant in $6 until before one in $7. Buckets begin at the instants $2; `place` is the
-- index, from 0. $3 are series ids, $4 their group numbers. All are from $8 until before $9. $10 are partitions of
-- the ledger; null reads all.
SELECT width_bucket(used.occurred_at, $2::timestamptz[]) - 1 AS place, number, sum(used.credits)::bigint AS credits,
    count(*) FILTER (WHERE used.corrects IS NULL) AS events
FROM usage_ledger AS used
JOIN unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[]) AS selected(attribution_id, from_at, until_at)
    ON selected.attribution_id = used.attribution_id AND used.occurred_at >= selected.from_at AND used.occurred_at < selected.until_at
JOIN unnest($3::integer[], $4::integer[]) AS grouped(series_id, number) ON grouped.series_id = used.series_id
WHERE used.organization_id = $1 AND used.attribution_id IS NOT NULL AND NOT used.held
    AND used.occurred_at >= $8::timestamptz AND used.occurred_at < $9::timestamptz
    AND ($10::integer[] IS NULL OR used.ledger_bucket = ANY($10))
GROUP BY 1, 2

-- name: sum_cells_within_days
-- As sum_cells, from the ledger: of attributions $2, each from an instant in $3 until before one in $4.
-- They are in rows $5, used by persons $6. A cell is the values of the dimensions $7, and the bucket of time that begins in $8.
-- Months begin at the instants $9 and are $10. Sums have only usage from $11 until before $12 and the series $13 (null: all);
-- credits_all and events_all have all that was read, which is from $14 until before $15. $16 are partitions of the ledger; null
-- reads all.
SELECT row, month, cell, sum(asked_credits)::bigint AS credits, sum(asked_events)::bigint AS events,
    coalesce(array_agg(person) FILTER (WHERE person >= 0 AND credits <> 0), '{}') AS people,
    coalesce(bool_or(is_used) FILTER (WHERE person <> -1), false) AS has_people,
    coalesce(array_agg(person) FILTER (WHERE person >= 0 AND asked_credits <> 0), '{}') AS asked_people,
    coalesce(bool_or(is_asked_used) FILTER (WHERE person <> -1), false) AS has_asked_people,
    sum(credits)::bigint AS credits_all, sum(events)::bigint AS events_all
FROM (
    SELECT selected.row, selected.person, ($10::date[])[width_bucket(used.occurred_at, $9::timestamptz[])] AS month,
        concat_ws(chr(31), width_bucket(used.occurred_at, $8::timestamptz[]),
            CASE WHEN 'product' = ANY($7::text[]) THEN s.product END, CASE WHEN 'feature_kind' = ANY($7) THEN s.feature_kind END,
            CASE WHEN 'feature' = ANY($7) THEN s.feature END, CASE WHEN 'agent' = ANY($7) THEN s.agent_id END,
            CASE WHEN 'surface' = ANY($7) THEN s.surface END) AS cell,
        sum(used.credits) AS credits, count(*) FILTER (WHERE used.corrects IS NULL) AS events,
        bool_or(used.credits <> 0 OR used.corrects IS NULL) AS is_used,
        coalesce(sum(used.credits) FILTER (WHERE shown.is_asked), 0) AS asked_credits,
        count(*) FILTER (WHERE shown.is_asked AND used.corrects IS NULL) AS asked_events,
        coalesce(bool_or(used.credits <> 0 OR used.corrects IS NULL) FILTER (WHERE shown.is_asked), false) AS is_asked_used
    FROM usage_ledger AS used
    JOIN unnest($2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::integer[])
        AS selected(attribution_id, from_at, until_at, row, person)
        ON selected.attribution_id = used.attribution_id AND used.occurred_at >= selected.from_at AND used.occurred_at < selected.until_at
    JOIN usage_series AS s ON s.organization_id = $1 AND s.series_id = used.series_id
    CROSS JOIN LATERAL (
        SELECT used.occurred_at >= $11::timestamptz AND used.occurred_at < $12::timestamptz
            AND ($13::integer[] IS NULL OR used.series_id = ANY($13)) AS is_asked
    ) AS shown
    WHERE used.organization_id = $1 AND used.attribution_id IS NOT NULL AND NOT used.held
        AND used.occurred_at >= $14::timestamptz AND used.occurred_at < $15::timestamptz
        AND ($16::integer[] IS NULL OR used.ledger_bucket = ANY($16))
    GROUP BY 1, 2, 3, 4
) AS of_people
GROUP BY 1, 2, 3

-- name: sum_month_cells
-- As sum_cells, of whole months from $2 to $3 without dimensions: attributions $4 are in rows $5, used by $6.
SELECT row, month, '' AS cell, credits, events, people, has_people, people AS asked_people, has_people AS has_asked_people
FROM (
    SELECT row, month, sum(credits)::bigint AS credits, sum(events)::bigint AS events,
        coalesce(array_agg(person) FILTER (WHERE person >= 0 AND credits <> 0), '{}') AS people,
        coalesce(bool_or(is_used) FILTER (WHERE person <> -1), false) AS has_people
    FROM (
        SELECT selected.row, selected.person, used.month, sum(used.credits) AS credits, sum(used.events) AS events,
            bool_or(used.credits <> 0 OR used.events <> 0) AS is_used
        FROM unnest($4::bigint[], $5::integer[], $6::integer[]) AS selected(attribution_id, row, person)
        JOIN usage_attributed_monthly AS used ON used.organization_id = $1 AND used.attribution_id = selected.attribution_id
        WHERE used.month BETWEEN $2 AND $3
        GROUP BY 1, 2, 3
    ) AS of_people
    GROUP BY 1, 2
) AS sums

-- name: sum_series_totals
-- Usage of the series $4 in ranges of days that begin on $2 and end on $3.
SELECT stretch.first, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM unnest($2::date[], $3::date[]) AS stretch(first, last)
JOIN usage_daily AS used ON used.day BETWEEN stretch.first AND stretch.last
WHERE organization_id = $1 AND series_id = ANY($4::integer[])
GROUP BY stretch.first

-- name: select_range_versions
-- Usage of the organization and corrections in ranges of days from $2 to $3, in their order, and the newest rebuild.
-- Whole months and days as in sum_groups, from $4 on.
SELECT coalesce(used.events, 0) AS events, coalesce(used.credits, 0) AS credits,
    (SELECT coalesce(sum(corrections), 0)::bigint FROM usage_corrections
        WHERE organization_id = $1 AND day BETWEEN stretch.first AND stretch.last) AS corrections,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE organization_id = $1) AS rebuilt
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[], $9::date[]) WITH ORDINALITY
    AS stretch(first, last, before_first, before_last, first_month, last_month, after_first, after_last, number)
CROSS JOIN LATERAL (SELECT sum(credits)::bigint AS credits, sum(events)::bigint AS events FROM (
    SELECT credits, events FROM usage_organization_daily
    WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
    UNION ALL
    SELECT credits, events FROM usage_organization_monthly
    WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
    UNION ALL
    SELECT credits, events FROM usage_organization_daily
    WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
) AS grains) AS used
ORDER BY stretch.number
