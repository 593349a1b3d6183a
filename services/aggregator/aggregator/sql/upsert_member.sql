-- A newer fact about a person; the name stays where it gives none.
INSERT INTO members AS t (organization_id, email, name, role, removed, fact_at, fact_offset) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, email) DO UPDATE SET name = coalesce(excluded.name, t.name), role = excluded.role, removed = excluded.removed,
    fact_at = excluded.fact_at, fact_offset = excluded.fact_offset
WHERE (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
