-- Every series of these organizations, with its dimensions as usage names them.
SELECT series_id, o.organization, product, feature_kind, feature, agent_id, surface
FROM usage_series s JOIN organizations o USING (organization_id) WHERE organization_id = ANY($1::integer[])
