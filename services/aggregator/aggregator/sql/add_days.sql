-- Add to the daily rollup of the organization's zone, and to the monthly one, whose rows are locked after those of the days.
WITH d AS MATERIALIZED (
    SELECT organization_id, date '1970-01-01' + day AS day, series_id, credits, events
    FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
        AS d(organization_id, day, series_id, credits, events)
), months AS (
    INSERT INTO usage_monthly AS t (organization_id, month, series_id, credits, events)
    SELECT organization_id, date_trunc('month', day)::date, series_id, sum(credits)::bigint, sum(events)::bigint
    FROM d GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (organization_id, month, series_id)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
)
INSERT INTO usage_daily AS t (organization_id, day, series_id, credits, events)
SELECT organization_id, day, series_id, credits, events FROM d
ORDER BY organization_id, day, series_id
ON CONFLICT (organization_id, day, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
