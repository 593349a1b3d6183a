-- name: select_usage_version
-- Counters that change with the organization's usage and catalog, its monthly sums, and the watermark of the topic $2.
-- Events, corrections and sightings only increase (held usage counts too, as it names agents), and each applied catalog event has
-- a higher offset, or is applied late with a new reload. Series are never deleted. The rebuild counter is included because a rebuild
-- may move credits without changing the others. Sightings count agents, too: an older event about an agent may add its name, or that it was
-- saved, and keeps the offset of the newer one. Sightings, newest_event_offset, newest_reload and series are null unless $3, because
-- only views with names need them.
SELECT u.months, u.products, u.credits, u.events, c.corrected_months, c.corrections,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE organization_id = $1) AS rebuilt,
    (SELECT string_agg(contract_id || ' ' || event_offset || ' ' || extract(epoch FROM event_at), ' ' ORDER BY contract_id)
        FROM contracts WHERE organization_id = $1) AS contracts,
    CASE WHEN $3::boolean THEN
        (SELECT coalesce(sum(extract(epoch FROM seen_at) + coalesce(extract(epoch FROM named_at), 0)) + count(*) + count(*) FILTER (WHERE ever_saved), 0)
            FROM agent_sightings WHERE organization_id = $1)
        + (SELECT count(name) + count(*) FILTER (WHERE ever_saved) FROM agents WHERE organization_id = $1)
    END AS sightings,
    CASE WHEN $3::boolean THEN
        (SELECT coalesce(max(event_offset), -1) FROM (
            SELECT event_offset FROM organizations WHERE organization_id = $1
            UNION ALL SELECT max(event_offset) FROM contracts WHERE organization_id = $1
            UNION ALL SELECT max(event_offset) FROM agents WHERE organization_id = $1
            UNION ALL SELECT max(event_offset) FROM features WHERE organization_id IN (0, $1)
        ) AS catalog_events)
    END AS newest_event_offset,
    CASE WHEN $3::boolean THEN (SELECT coalesce(max(reload_id), 0) FROM catalog_reloads WHERE organization_id IN (0, $1)) END AS newest_reload,
    CASE WHEN $3::boolean THEN (SELECT count(*) FROM usage_series WHERE organization_id = $1) END AS series,
    w.partitions, w.updated_at, w.complete_to
FROM (
    SELECT array_agg(month) AS months, array_agg(product) AS products, array_agg(credits) AS credits, array_agg(events) AS events
    FROM (SELECT month, product, sum(credits)::bigint AS credits, sum(events)::bigint AS events
        FROM usage_organization_monthly WHERE organization_id = $1 GROUP BY month, product) AS sums
) AS u, (
    SELECT array_agg(month) AS corrected_months, array_agg(corrections) AS corrections
    FROM (SELECT date_trunc('month', day::timestamp)::date AS month, sum(corrections)::bigint AS corrections
        FROM usage_corrections WHERE organization_id = $1 GROUP BY 1) AS sums
) AS c, (
    SELECT count(*) AS partitions, max(updated_at) AS updated_at,
        CASE WHEN bool_and(greatest(caught_up_at, complete_to) IS NOT NULL) THEN min(greatest(caught_up_at, complete_to)) END AS complete_to
    FROM partition_progress LEFT JOIN partition_ends USING (topic, partition) WHERE topic = $2
) AS w

-- name: read_product_days
-- Usage of products on the days of the months that begin on $2.
-- For each month, parallel arrays with an element for each row.
SELECT begun.month, array_agg(product) AS products, array_agg(day) AS days, array_agg(credits) AS credits, array_agg(events) AS events
FROM unnest($2::date[]) AS begun(month) JOIN usage_organization_daily
    ON organization_id = $1 AND day >= begun.month AND day < begun.month + interval '1 month'
GROUP BY begun.month

-- name: select_features
-- Catalog entries for features of a product, of the organization and of the deployment.
SELECT feature_kind, feature, organization_id = 0 AS deployment_wide, effective_from, display_name, category
FROM features WHERE organization_id IN (0, $1) AND product = $2 AND feature_kind = ANY($3)

-- name: select_agents
-- State and name of each agent, from the registry and from its latest usage.
SELECT agent_id, a.state AS registered, s.kind AS seen, coalesce(a.ever_saved, false) OR coalesce(s.ever_saved, false) AS ever_saved,
    coalesce(a.name, nullif(s.name, ''), agent_id) AS name,
    CASE a.state WHEN 'deleted' THEN a.event_at END AS deleted_at
FROM (SELECT * FROM agents WHERE organization_id = $1) AS a
FULL JOIN (SELECT * FROM agent_sightings WHERE organization_id = $1) AS s USING (agent_id)

-- name: select_series
-- Series of these products and kinds of feature, and the total number of series of the organization.
SELECT series_id, feature_kind, feature, agent_id, surface, product,
    (SELECT count(*) FROM usage_series WHERE organization_id = $1) AS series
FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)

-- name: select_used_surfaces
-- Surfaces of these products and kinds of feature with counted usage.
-- A series may exist without counted usage: its events may be held or rejected.
SELECT surface FROM (
    SELECT DISTINCT surface FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)) AS named
WHERE EXISTS (SELECT FROM usage_series s JOIN usage_monthly m USING (organization_id, series_id)
    WHERE s.organization_id = $1 AND s.product = ANY($2) AND s.feature_kind = ANY($3) AND s.surface = named.surface)
ORDER BY surface

-- name: sum_groups
-- Sums by group over ranges of days that begin on $2.
-- Whole months [$5, $6] come from the monthly rows; days before [$3, $4] and after [$7, $8] from the daily rows.
-- Each may be null. $9 are series ids, $10 their group numbers. $11 selects series by index; null reads all series,
-- which is faster for most of them.
SELECT stretch.first, used.number, used.credits, used.events
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
    AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
    SELECT number, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM (
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last AND ($11::integer[] IS NULL OR series_id = ANY($11))
        UNION ALL
        SELECT series_id, credits, events FROM usage_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month AND ($11::integer[] IS NULL OR series_id = ANY($11))
        UNION ALL
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last AND ($11::integer[] IS NULL OR series_id = ANY($11))
    ) AS grains JOIN unnest($9::integer[], $10::integer[]) AS grouped(series_id, number) USING (series_id)
    GROUP BY number
) AS used

-- name: read_series
-- Usage of all series in ranges of days that begin on $2, as parallel arrays with an element for each row.
-- Ranges as in sum_groups. For short ranges, in which a series has few rows.
SELECT stretch.first, array_agg(series_id) AS series, array_agg(credits) AS credits, array_agg(events) AS events
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
    AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
    SELECT series_id, credits, events FROM usage_daily
    WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
    UNION ALL
    SELECT series_id, credits, events FROM usage_monthly
    WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
    UNION ALL
    SELECT series_id, credits, events FROM usage_daily
    WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
) AS used
GROUP BY stretch.first

-- name: sum_series
-- As read_series, but each series occurs once in a range.
SELECT first, array_agg(series_id) AS series, array_agg(credits) AS credits, array_agg(events) AS events
FROM (
    SELECT stretch.first, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
        AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
        UNION ALL
        SELECT series_id, credits, events FROM usage_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
        UNION ALL
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
    ) AS used
    GROUP BY stretch.first, series_id
) AS sums
GROUP BY first

-- name: sum_picked_series
-- As sum_series, for the series $9 only, which are found by index.
SELECT first, array_agg(series_id) AS series, array_agg(credits) AS credits, array_agg(events) AS events
FROM (
    SELECT stretch.first, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
        AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last AND series_id = ANY($9::integer[])
        UNION ALL
        SELECT series_id, credits, events FROM usage_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month AND series_id = ANY($9::integer[])
        UNION ALL
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last AND series_id = ANY($9::integer[])
    ) AS used
    GROUP BY stretch.first, series_id
) AS sums
GROUP BY first

-- name: sum_selected_series
-- As sum_series, from the daily rows of attributed usage. Ranges begin on $2 and end on $3.
-- $4 are attributions, of which usage from day $5 to day $6 counts.
SELECT first, array_agg(series_id) AS series, array_agg(credits) AS credits, array_agg(events) AS events
FROM (
    SELECT stretch.first, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM unnest($2::date[], $3::date[]) AS stretch(first, last)
    JOIN usage_attributed_daily AS used ON used.day BETWEEN stretch.first AND stretch.last
    JOIN unnest($4::bigint[], $5::date[], $6::date[]) AS selected(attribution_id, first_on, last_on)
        ON selected.attribution_id = used.attribution_id AND used.day BETWEEN selected.first_on AND selected.last_on
    WHERE organization_id = $1 AND used.attribution_id = ANY($4)
    GROUP BY stretch.first, series_id
) AS sums
GROUP BY first

-- name: sum_quarters
-- Sums by group over quarters of an hour up to $3, in buckets that begin at the instants $2.
-- `place` is the index of the bucket, from 0. $4 are series ids, $5 their group numbers.
SELECT width_bucket(bucket_at, $2::timestamptz[]) - 1 AS place, number, sum(credits)::bigint AS credits, sum(events)::bigint AS events
FROM usage_15m JOIN unnest($4::integer[], $5::integer[]) AS grouped(series_id, number) USING (series_id)
WHERE organization_id = $1 AND bucket_at >= ($2::timestamptz[])[1] AND bucket_at < $3::timestamptz
GROUP BY 1, 2

-- name: plan_for_values
-- Plan statements for their actual parameters until the transaction ends.
-- A range of a day and of a year need different plans.
SET LOCAL plan_cache_mode = force_custom_plan

-- name: select_first_quarter
-- The day (UTC) from which quarters of an hour are kept: the first of the oldest month that has a partition.
SELECT min(to_date(right(c.relname, 6), 'YYYYMM')) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'usage_15m'::regclass AND c.relname ~ '_\d{6}$'
