-- Levels of these organizations, of all time, per product.
SELECT o.organization_id, o.organization, t.product, sum(t.credits)::bigint AS credits
FROM organizations o JOIN usage_organization_monthly t USING (organization_id)
WHERE o.organization_id = ANY($1::integer[]) GROUP BY 1, 2, 3
