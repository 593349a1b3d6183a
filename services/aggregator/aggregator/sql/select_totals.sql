-- Levels of these organizations, all days, per product.
SELECT o.organization_id, o.organization, d.product, sum(d.credits)::bigint AS credits
FROM organizations o JOIN usage_organization_daily d USING (organization_id)
WHERE o.organization_id = ANY($1::integer[]) GROUP BY 1, 2, 3
