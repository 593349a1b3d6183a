-- A rate fact; a copy of one is dropped, so that a retry cannot postpone it.
INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, effective_from, received_at, catalog_offset,
    source, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING
