-- New combinations of dimensions.
INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING
