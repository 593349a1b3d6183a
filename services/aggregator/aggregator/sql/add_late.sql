-- Add what came on a later day than the one that it counts in.
INSERT INTO usage_late AS t (organization_id, day, received_on, product, credits, events)
SELECT organization_id, date '1970-01-01' + day, date '1970-01-01' + received_day, product, credits, events
FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[])
    AS d(organization_id, day, received_day, product, credits, events)
ORDER BY organization_id, day, received_day, product
ON CONFLICT (organization_id, day, received_on, product)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
