-- The series of these products, kinds of feature and surfaces (null: of all), with all that tells them apart.
SELECT series_id, product, feature_kind, feature, agent_id, surface FROM usage_series
WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3) AND ($4::text[] IS NULL OR surface = ANY($4))
