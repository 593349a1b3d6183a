-- The release of tz by which the organization's days were counted, and its rules since 2024; no row: nothing was recorded.
SELECT tz, changes FROM zone_rules WHERE organization_id = $1 AND time_zone = $2
