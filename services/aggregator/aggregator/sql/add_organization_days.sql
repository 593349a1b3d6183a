-- Add to the organization's days and months; the partition in the key keeps two aggregators off each other's rows.
WITH d AS MATERIALIZED (
    SELECT organization_id, date '1970-01-01' + day AS day, product, kafka_partition, credits, events
    FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS d(organization_id, day, product, kafka_partition, credits, events)
), months AS (
    INSERT INTO usage_organization_monthly AS t (organization_id, month, product, kafka_partition, credits, events)
    SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
    FROM d GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, month, product, kafka_partition)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
)
INSERT INTO usage_organization_daily AS t (organization_id, day, product, kafka_partition, credits, events)
SELECT organization_id, day, product, kafka_partition, credits, events FROM d
ORDER BY organization_id, day, product, kafka_partition
ON CONFLICT (organization_id, day, product, kafka_partition)
DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
