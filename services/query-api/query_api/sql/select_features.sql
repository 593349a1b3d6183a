-- What the catalog says about the features of a product, the organization's own facts and the deployment's.
SELECT feature_kind, feature, organization_id = 0 AS deployment_wide, effective_from, display_name, category
FROM features WHERE organization_id IN (0, $1) AND product = $2 AND feature_kind = ANY($3)
