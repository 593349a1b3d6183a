-- Add to the organization's days and months; the partition in the key keeps two aggregators off each other's rows. Returns the
-- organizations with a sum above 10^13: below that, 100,000 rows together cannot reach the limit of sums.
WITH d AS MATERIALIZED (
    SELECT organization_id, date '1970-01-01' + day AS day, product, kafka_partition, credits, events
    FROM unnest($1::integer[], $2::integer[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS d(organization_id, day, product, kafka_partition, credits, events)
), days AS (
    INSERT INTO usage_organization_daily AS t (organization_id, day, product, kafka_partition, credits, events)
    SELECT organization_id, day, product, kafka_partition, credits, events FROM d
    ORDER BY organization_id, day, product, kafka_partition
    ON CONFLICT (organization_id, day, product, kafka_partition)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
    RETURNING organization_id, credits
), months AS (
    INSERT INTO usage_organization_monthly AS t (organization_id, month, product, kafka_partition, credits, events)
    SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
    FROM d GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, month, product, kafka_partition)
    DO UPDATE SET credits = t.credits + excluded.credits, events = t.events + excluded.events
    RETURNING organization_id, credits
)
SELECT DISTINCT organization_id FROM (SELECT * FROM days UNION ALL SELECT * FROM months) AS sums
WHERE abs(credits) > 10000000000000
