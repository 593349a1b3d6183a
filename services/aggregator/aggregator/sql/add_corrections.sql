-- Add what corrections contribute to the daily rollup, by itself.
INSERT INTO usage_corrections AS t (organization_id, day, series_id, credits, corrections)
SELECT organization_id, date '1970-01-01' + day, series_id, credits, corrections
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
    AS d(organization_id, day, series_id, credits, corrections)
ORDER BY organization_id, day, series_id
ON CONFLICT (organization_id, day, series_id)
DO UPDATE SET credits = t.credits + excluded.credits, corrections = t.corrections + excluded.corrections
