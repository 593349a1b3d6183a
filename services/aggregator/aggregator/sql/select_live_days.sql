-- Daily rows of these days.
SELECT organization_id, day - date '1970-01-01', series_id, credits, events
FROM usage_daily WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3
