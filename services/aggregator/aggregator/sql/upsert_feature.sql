-- A newer fact about a feature from a day on.
INSERT INTO features AS t (organization_id, product, feature_kind, feature, effective_from, display_name, category, fact_at, fact_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (organization_id, product, feature_kind, feature, effective_from) DO UPDATE SET
    display_name = excluded.display_name, category = excluded.category, fact_at = excluded.fact_at, fact_offset = excluded.fact_offset
WHERE (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
