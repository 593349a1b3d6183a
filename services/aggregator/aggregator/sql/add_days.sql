-- Add to the daily rollup of the organization's zone.
INSERT INTO usage_daily AS t (organization_id, day, series_id, credits, events)
SELECT organization_id, date '1970-01-01' + day, series_id, credits, events
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
    AS d(organization_id, day, series_id, credits, events)
ORDER BY organization_id, day, series_id
ON CONFLICT (organization_id, day, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
