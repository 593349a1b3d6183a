-- What corrections contribute to these days.
SELECT organization_id, day - date '1970-01-01', series_id, credits, corrections
FROM usage_corrections WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3
