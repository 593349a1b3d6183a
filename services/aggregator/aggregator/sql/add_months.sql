-- Add to the monthly rollup alone, where it is not the sum of its days.
INSERT INTO usage_monthly AS t (organization_id, month, series_id, credits, events)
SELECT organization_id, date '1970-01-01' + month, series_id, credits, events
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
    AS d(organization_id, month, series_id, credits, events)
ORDER BY organization_id, month, series_id
ON CONFLICT (organization_id, month, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
