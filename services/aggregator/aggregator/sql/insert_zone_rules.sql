-- The rules by which an organization's days are counted; those of another zone replace them as long as the zone is not fixed.
INSERT INTO zone_rules AS t (organization_id, time_zone, tz, changes)
SELECT organization_id, $2, $3, $4::bigint[] FROM organizations WHERE organization = $1
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()
WHERE t.time_zone <> excluded.time_zone
