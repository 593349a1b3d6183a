-- The series of these products and kinds of feature, how many the organization has in all and, with $4, the surfaces among them of which something is counted: a series exists from its first event on, also while that is held or after it was refused.
SELECT series_id, feature_kind, feature, agent_id, surface, product,
    (SELECT count(*) FROM usage_series WHERE organization_id = $1) AS series,
    CASE WHEN $4::boolean THEN (SELECT array_agg(surface) FROM (
        SELECT DISTINCT surface FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)) AS named
     WHERE EXISTS (SELECT FROM usage_series s JOIN usage_monthly m USING (organization_id, series_id)
        WHERE s.organization_id = $1 AND s.product = ANY($2) AND s.feature_kind = ANY($3) AND s.surface = named.surface)) END AS surfaces
FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)
