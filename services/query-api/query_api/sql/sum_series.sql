-- Sums by series over stretches of days that begin on $2: their whole months [$5, $6] by the monthly rows, the days before [$3, $4] and after [$7, $8] those by the daily ones; each may be null. $9 picks series, null takes all, which is faster when most are wanted.
SELECT stretch.first, used.series_id, used.credits, used.events
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[], $8::date[])
    AS stretch(first, before_first, before_last, first_month, last_month, after_first, after_last), LATERAL (
    SELECT series_id, sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM (
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last AND ($9::integer[] IS NULL OR series_id = ANY($9))
        UNION ALL
        SELECT series_id, credits, events FROM usage_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month AND ($9::integer[] IS NULL OR series_id = ANY($9))
        UNION ALL
        SELECT series_id, credits, events FROM usage_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last AND ($9::integer[] IS NULL OR series_id = ANY($9))
    ) AS grains
    GROUP BY series_id
) AS used
