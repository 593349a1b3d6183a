-- A newer fact about a feature from a day on; what it leaves out stays.
INSERT INTO features AS t (organization_id, product, feature_kind, feature, effective_from, display_name, category, fact_at, fact_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (organization_id, product, feature_kind, feature, effective_from) DO UPDATE SET
    display_name = coalesce(excluded.display_name, t.display_name), category = coalesce(excluded.category, t.category),
    fact_at = excluded.fact_at, fact_offset = excluded.fact_offset
WHERE (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
