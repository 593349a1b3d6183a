-- Numbers of these combinations of dimensions, in the order asked.
SELECT s.series_id
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS d(organization_id, product, feature_kind, feature, agent_id, surface, position)
JOIN usage_series s USING (organization_id, product, feature_kind, feature, agent_id, surface)
ORDER BY d.position
