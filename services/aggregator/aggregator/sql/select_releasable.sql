-- Kinds of held usage: what the sweep looks at before it touches rows.
SELECT DISTINCT h.organization_id, o.organization, o.time_zone, h.series_id, h.unit,
    ARRAY[s.product, s.feature_kind, s.feature, s.agent_id, s.surface] AS dimensions
FROM usage_held h JOIN organizations o USING (organization_id) JOIN usage_series s USING (series_id)
