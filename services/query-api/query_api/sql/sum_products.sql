-- Micro-credits by product in stretches of days, numbered from 1: their whole months [$4, $5] by the monthly rows, the days before [$2, $3] and after [$6, $7] those by the daily ones; each may be null.
SELECT stretch.number, used.product, used.credits
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[]) WITH ORDINALITY
    AS stretch(before_first, before_last, first_month, last_month, after_first, after_last, number), LATERAL (
    SELECT product, sum(credits)::bigint AS credits
    FROM (
        SELECT product, credits FROM usage_organization_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
        UNION ALL
        SELECT product, credits FROM usage_organization_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
        UNION ALL
        SELECT product, credits FROM usage_organization_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
    ) AS grains
    GROUP BY product
) AS used
