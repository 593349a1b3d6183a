-- The surfaces of these products and kinds of feature with counted usage: a series exists from its first event on, even while that is held or rejected.
SELECT surface FROM (
    SELECT DISTINCT surface FROM usage_series WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3)) AS named
WHERE EXISTS (SELECT FROM usage_series s JOIN usage_monthly m USING (organization_id, series_id)
    WHERE s.organization_id = $1 AND s.product = ANY($2) AND s.feature_kind = ANY($3) AND s.surface = named.surface)
ORDER BY surface
