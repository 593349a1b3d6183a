-- Add to the organization's days, and to its totals after them; the partition in the key keeps two aggregators off each other's rows.
WITH d AS MATERIALIZED (
    SELECT organization_id, date '1970-01-01' + day AS day, product, kafka_partition, credits, events
    FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS d(organization_id, day, product, kafka_partition, credits, events)
), totals AS (
    INSERT INTO usage_totals AS t (organization_id, product, kafka_partition, credits)
    SELECT organization_id, product, kafka_partition, sum(credits)::bigint FROM d GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (organization_id, product, kafka_partition) DO UPDATE SET credits = t.credits + excluded.credits
)
INSERT INTO usage_organization_daily AS t (organization_id, day, product, kafka_partition, credits, events)
SELECT organization_id, day, product, kafka_partition, credits, events FROM d
ORDER BY organization_id, day, product, kafka_partition
ON CONFLICT (organization_id, day, product, kafka_partition)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
