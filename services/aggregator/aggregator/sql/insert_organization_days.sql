-- An organization's days from those of its series, all of them as if they came from partition 0.
INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)
SELECT organization_id, day, product, 0, sum(credits)::bigint, sum(events)::bigint
FROM usage_daily JOIN usage_series USING (organization_id, series_id) WHERE organization_id = $1 GROUP BY 1, 2, 3
