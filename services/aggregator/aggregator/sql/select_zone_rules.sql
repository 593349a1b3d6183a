-- By which rules the days of these organizations (null: of all) were counted; without a row nobody wrote it down. is_used is asked only of those without a release.
SELECT o.organization_id, o.organization, o.time_zone, r.organization_id IS NOT NULL AS is_recorded, r.tz, r.changes,
    r.tz IS NULL AND EXISTS (SELECT FROM usage_organization_daily d WHERE d.organization_id = o.organization_id) AS is_used
FROM organizations o LEFT JOIN zone_rules r ON r.organization_id = o.organization_id AND r.time_zone = o.time_zone
WHERE o.time_zone IS NOT NULL AND ($1::text IS NULL OR o.organization = $1) ORDER BY o.organization
