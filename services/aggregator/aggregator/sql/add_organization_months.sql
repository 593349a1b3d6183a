-- Add to the organization's months alone, where they are not the sum of their days.
INSERT INTO usage_organization_monthly AS t (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date '1970-01-01' + month, product, kafka_partition, credits, events
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
    AS d(organization_id, month, product, kafka_partition, credits, events)
ORDER BY organization_id, month, product, kafka_partition
ON CONFLICT (organization_id, month, product, kafka_partition)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
