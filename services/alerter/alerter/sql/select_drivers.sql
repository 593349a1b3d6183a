-- The three features that used most, and not less than nothing, from $2 to before $3, under the names that they have on $4; the organization's own name goes first.
SELECT used.product, used.credits, coalesce((
        SELECT f.display_name FROM features f
        WHERE f.organization_id IN (0, $1) AND (f.product, f.feature_kind, f.feature) = (used.product, used.feature_kind, used.feature)
            AND f.effective_from <= $4 AND f.display_name IS NOT NULL
        ORDER BY f.organization_id DESC, f.effective_from DESC LIMIT 1), used.feature) AS name
FROM (
    SELECT s.product, s.feature_kind, s.feature, sum(u.credits)::bigint AS credits
    FROM (SELECT date_trunc('month', $2::date + interval '1 month - 1 day')::date AS starts_on, date_trunc('month', $3::date)::date AS ends_on) AS whole
    CROSS JOIN LATERAL (
        SELECT m.series_id, m.credits FROM usage_monthly m
        WHERE m.organization_id = $1 AND m.month >= whole.starts_on AND m.month < whole.ends_on
        UNION ALL
        SELECT d.series_id, d.credits FROM usage_daily d
        WHERE d.organization_id = $1 AND d.day >= $2 AND d.day < least(whole.starts_on, $3)
        UNION ALL
        SELECT d.series_id, d.credits FROM usage_daily d
        WHERE d.organization_id = $1 AND d.day >= greatest(whole.starts_on, whole.ends_on) AND d.day < $3
    ) AS u
    JOIN usage_series s USING (series_id)
    GROUP BY 1, 2, 3 HAVING sum(u.credits) > 0 ORDER BY 4 DESC, 1, 2, 3 LIMIT 3
) AS used
ORDER BY used.credits DESC, used.product, name
