-- An organization's months from its days.
INSERT INTO usage_organization_monthly (organization_id, month, product, kafka_partition, credits, events)
SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition, sum(credits)::bigint, sum(events)::bigint
FROM usage_organization_daily WHERE organization_id = $1 GROUP BY 1, 2, 3, 4
