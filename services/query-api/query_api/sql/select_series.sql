-- The series of these products and kinds of feature, and how many the organization has in all.
SELECT series_id, feature_kind, feature, agent_id, surface, product,
    (SELECT count(*) FROM usage_series WHERE organization_id = $1) AS series
FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)
