-- By which rules an organization's days are counted, whatever was written down before; without a release nobody knows.
INSERT INTO zone_rules (organization_id, time_zone, tz, changes) VALUES ($1, $2, $3, $4::bigint[])
ON CONFLICT (organization_id) DO UPDATE
SET time_zone = excluded.time_zone, tz = excluded.tz, changes = excluded.changes, recorded_at = now()
