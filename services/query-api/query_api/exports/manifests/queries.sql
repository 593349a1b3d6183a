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
INSERT INTO export_manifests (organization_id, export_id, made_at, manifest, signature, request, sha256, people, people_version, kept_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: insert_export_lines
-- A part of the lines of a file.
INSERT INTO export_lines (organization_id, export_id, position, first_on, begins_at, labels, lines) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: delete_manifests_of_removed
-- Deletes manifests of files by people that may have a person who was removed since.
-- With the hash of such a file a guess of the name could be tested. An event that was applied late may be a removal.
DELETE FROM export_manifests m WHERE organization_id = $1 AND (EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) OR EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))

-- name: delete_old_manifests
-- Keeps $2 manifests of an organization: $3, the newest $4 of each request by age, then the next $4 of each, and so on.
-- Between the first and the newest of the same bytes, repeats count as the oldest of their request.
WITH same AS (
    SELECT export_id, made_at, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests WHERE organization_id = $1
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
)
DELETE FROM export_manifests WHERE organization_id = $1 AND export_id IN (
    SELECT export_id FROM ranked ORDER BY export_id <> $3, (rank - 1) / $4, made_at DESC, export_id OFFSET $2)

-- name: delete_old_lines
-- Keeps lines of an organization, $2 bytes, in the order of delete_old_manifests among the files that have lines.
WITH same AS (
    SELECT export_id, made_at, kept_bytes, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests WHERE organization_id = $1 AND kept_bytes IS NOT NULL
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, kept_bytes, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
), summed AS (
    SELECT export_id, sum(kept_bytes) OVER (ORDER BY export_id <> $3, (rank - 1) / $4, made_at DESC, export_id) AS bytes FROM ranked
), forgotten AS (
    UPDATE export_manifests m SET kept_bytes = NULL FROM summed s
    WHERE m.organization_id = $1 AND m.export_id = s.export_id AND m.kept_bytes > 0 AND s.bytes > $2
    RETURNING m.export_id
)
DELETE FROM export_lines l USING forgotten f WHERE l.organization_id = $1 AND l.export_id = f.export_id

-- name: select_manifests
-- The newest manifests of an organization that shows $2 of people, without those that reveal more of them.
SELECT manifest, signature IS NOT NULL AS is_signed, kept_bytes IS NOT NULL AS is_kept FROM export_manifests m
WHERE organization_id = $1 AND (people IS NULL OR people = $2 AND NOT EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) AND NOT EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))
ORDER BY made_at DESC, export_id LIMIT $3

-- name: select_actors_version
-- The newest event of an actor of an organization, and the newest one that was applied late.
SELECT ARRAY[coalesce((SELECT max(event_offset) FROM actors WHERE organization_id = $1), -1),
    coalesce((SELECT max(reload_id) FROM catalog_reloads WHERE organization_id = $1), -1)]

-- name: select_manifest
-- One manifest of an organization that shows $3 of people, unless it reveals more of them.
SELECT manifest, signature, kept_bytes IS NOT NULL AS is_kept FROM export_manifests m
WHERE organization_id = $1 AND export_id = $2 AND (people IS NULL OR people = $3 AND NOT EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) AND NOT EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))

-- name: select_export_lines
-- One part of the lines of a file.
SELECT first_on, begins_at, labels, lines FROM export_lines WHERE organization_id = $1 AND export_id = $2 AND position = $3
