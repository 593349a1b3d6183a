-- name: sum_corrections
-- Micro-credits of the corrections on the days from $2 to $3, by series.
SELECT series_id, sum(credits)::bigint AS credits FROM usage_corrections
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 GROUP BY series_id

-- name: sum_late_uses
-- Uses on the days from $2 to $3 that were received after $3, by product. Corrections do not count.
SELECT product, sum(events)::bigint AS uses FROM usage_late
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 AND received_on > $3 GROUP BY product

-- name: select_changing_rates
-- All rates for the products and kinds of feature of which one takes effect between the instants $2 and $3.
-- A rate takes effect when it is received, or later; a backdated one may apply before its receipt.
SELECT rate_id, CASE WHEN organization_id = 0 THEN '' ELSE $4::text END AS organization, product, feature_kind, feature, unit, credits, per,
    coalesce(extract(epoch FROM effective_from)::float8, '-infinity') AS effective_from,
    extract(epoch FROM received_at)::float8 AS received, catalog_offset AS "offset", part_of
FROM rates
WHERE organization_id IN (0, $1) AND (product, feature_kind) IN (
    SELECT product, feature_kind FROM rates
    WHERE organization_id IN (0, $1)
        AND (greatest(effective_from, received_at) BETWEEN $2 AND $3 OR effective_from BETWEEN $2 AND $3))

-- name: sum_attributed_series
-- Usage on the days from $2 to $3 of the attributions $4, by attribution and series.
SELECT attribution_id, series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS uses FROM usage_attributed_daily
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 AND attribution_id = ANY($4) GROUP BY attribution_id, series_id
