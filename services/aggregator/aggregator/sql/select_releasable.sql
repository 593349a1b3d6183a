-- Kinds of held usage: what the sweep looks at before it touches rows. What failed lately is not tried yet.
SELECT DISTINCT h.organization_id, o.organization, o.time_zone, h.series_id, h.unit,
    ARRAY[s.product, s.feature_kind, s.feature, s.agent_id, s.surface] AS dimensions
FROM usage_held h JOIN organizations o USING (organization_id) JOIN usage_series s USING (series_id)
WHERE h.waits_for <> 'sum_limit' AND NOT EXISTS (
    SELECT FROM quarantine q WHERE (q.organization_id, q.component, q.step) = (h.organization_id, 'aggregator', 'release') AND q.retry_at > now())
