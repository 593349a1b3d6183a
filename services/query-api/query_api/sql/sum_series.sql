-- Sums by series over stretches of days [$2, $3]; $4 picks series, null takes all, which is faster when most are wanted.
SELECT stretch.first, used.series_id, used.credits, used.events
FROM unnest($2::date[], $3::date[]) AS stretch(first, last), LATERAL (
    SELECT series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events FROM usage_daily
    WHERE organization_id = $1 AND day BETWEEN stretch.first AND stretch.last AND ($4::integer[] IS NULL OR series_id = ANY($4))
    GROUP BY series_id
) AS used
