-- What came late for these days.
SELECT organization_id, day - date '1970-01-01', received_on - date '1970-01-01', product, credits, events
FROM usage_late WHERE organization_id = ANY($1::integer[]) AND day BETWEEN $2 AND $3
