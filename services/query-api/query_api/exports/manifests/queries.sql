-- name: select_offsets
-- The next offset of each partition of the topic: usage of all earlier ones is counted, held or rejected.
SELECT partition, next_offset FROM partition_progress WHERE topic = $1

-- name: select_rules
-- Versions of the rules by which an organization's usage is counted and named.
SELECT (SELECT tz FROM zone_rules WHERE organization_id = $1) AS zone_release,
    (SELECT count(*) FROM rates WHERE organization_id IN (0, $1)) AS rates,
    (SELECT count(*) FROM features WHERE organization_id IN (0, $1)) AS features,
    (SELECT count(*) FROM contracts WHERE organization_id = $1) AS contracts,
    (SELECT max(event_offset) FROM contracts WHERE organization_id = $1) AS contracts_offset

-- name: lock_exports
-- One transaction of an organization deletes its old files at a time, so that they do not wait for each other's rows.
SELECT pg_advisory_xact_lock(hashtext('flexcredits.exports'), $1)

-- name: insert_manifest
-- A file that was sent whole. The number of bytes is null if its lines are not kept.
INSERT INTO export_manifests (organization_id, export_id, made_at, manifest, signature, kept_bytes) VALUES ($1, $2, $3, $4, $5, $6)

-- name: insert_export_lines
-- A part of the lines of a file.
INSERT INTO export_lines (organization_id, export_id, position, first_on, begins_at, labels, lines) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: delete_old_manifests
-- Keeps the newest manifests of an organization; the number is $2.
DELETE FROM export_manifests WHERE organization_id = $1 AND export_id IN (
    SELECT export_id FROM export_manifests WHERE organization_id = $1 ORDER BY made_at DESC, export_id OFFSET $2)

-- name: delete_old_lines
-- Keeps lines of the newest files of an organization; $2 is the number of bytes.
WITH summed AS (
    SELECT export_id, sum(kept_bytes) OVER (ORDER BY made_at DESC, export_id) AS bytes FROM export_manifests WHERE organization_id = $1
), forgotten AS (
    UPDATE export_manifests m SET kept_bytes = NULL FROM summed s
    WHERE m.organization_id = $1 AND m.export_id = s.export_id AND m.kept_bytes > 0 AND s.bytes > $2
    RETURNING m.export_id
)
DELETE FROM export_lines l USING forgotten f WHERE l.organization_id = $1 AND l.export_id = f.export_id

-- name: select_manifests
-- The newest manifests of an organization.
SELECT manifest, signature IS NOT NULL AS is_signed, kept_bytes IS NOT NULL AS is_kept
FROM export_manifests WHERE organization_id = $1 ORDER BY made_at DESC, export_id LIMIT $2

-- name: select_manifest
-- One manifest of an organization.
SELECT manifest, signature, kept_bytes IS NOT NULL AS is_kept FROM export_manifests WHERE organization_id = $1 AND export_id = $2

-- name: select_export_lines
-- One part of the lines of a file.
SELECT first_on, begins_at, labels, lines FROM export_lines WHERE organization_id = $1 AND export_id = $2 AND position = $3
