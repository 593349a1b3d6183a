-- What any sum of an organization's rows comes to at most: its months, and twice what corrections moved, which months may hide.
SELECT o.organization_id,
    (SELECT coalesce(sum(abs(credits)), 0) FROM usage_organization_monthly m WHERE m.organization_id = o.organization_id)
    + 2 * (SELECT coalesce(sum(abs(credits)), 0) FROM usage_corrections c WHERE c.organization_id = o.organization_id) AS gross
FROM unnest($1::integer[]) AS o(organization_id)
