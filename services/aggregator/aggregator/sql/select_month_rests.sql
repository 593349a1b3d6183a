-- What the months that touch these days lack against the sum of their days.
SELECT organization_id, month - date '1970-01-01', series_id, sum(credits)::bigint, sum(events)::bigint FROM (
    SELECT organization_id, date_trunc('month', day)::date AS month, series_id, credits, events FROM usage_daily
    WHERE organization_id = ANY($1::integer[]) AND day >= date_trunc('month', $2::date)::date
        AND day < (date_trunc('month', $3::date) + interval '1 month')::date
    UNION ALL
    SELECT organization_id, month, series_id, -credits, -events FROM usage_monthly
    WHERE organization_id = ANY($1::integer[]) AND month BETWEEN date_trunc('month', $2::date)::date AND $3
) AS grains
GROUP BY 1, 2, 3 HAVING sum(credits) <> 0 OR sum(events) <> 0
