-- Rates whose fact came at or after this catalog offset, in the order of their receipt.
SELECT r.rate_id, o.organization, r.product, r.feature_kind, r.feature, r.unit, r.credits, r.per,
    coalesce(extract(epoch FROM r.effective_from)::float8, '-infinity') AS effective_from,
    extract(epoch FROM r.received_at)::float8 AS received, r.catalog_offset
FROM rates r JOIN organizations o USING (organization_id) WHERE r.catalog_offset >= $1 ORDER BY r.catalog_offset
