-- The three features that used most from $2 to before $3, under the names that they have on $4; the organization's own name goes first.
SELECT used.product, used.credits, coalesce((
        SELECT f.display_name FROM features f
        WHERE f.organization_id IN (0, $1) AND (f.product, f.feature_kind, f.feature) = (used.product, used.feature_kind, used.feature)
            AND f.effective_from <= $4 AND f.display_name IS NOT NULL
        ORDER BY f.organization_id DESC, f.effective_from DESC LIMIT 1), used.feature) AS name
FROM (
    SELECT s.product, s.feature_kind, s.feature, sum(d.credits)::bigint AS credits
    FROM usage_daily d JOIN usage_series s USING (series_id)
    WHERE d.organization_id = $1 AND d.day >= $2 AND d.day < $3
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 3
) AS used
ORDER BY used.credits DESC, used.product, name
