-- Sums by group over stretches of days that begin on $2: their whole months [$5, $6] by the monthly rows, the days before [$3, $4] and after [$7, $8] those by the daily ones; each may be null. $9 are the series and $10 the number of each one's group. $11 picks series, null reads all, which is faster when most are wanted.
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
