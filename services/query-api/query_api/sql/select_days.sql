-- The first and last day of the organization's usage.
SELECT min(day) AS first, max(day) AS last FROM usage_organization_daily WHERE organization_id = $1
