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
-- One transaction at a time stores a file of an organization and deletes its old ones: files share blocks.
-- The client has the file but for its end: it waits as long as a statement may take.
WITH patient AS MATERIALIZED (SELECT set_config('lock_timeout', '0', true) AS wait)
SELECT pg_advisory_xact_lock(hashtext('flexcredits.exports'), $1) FROM patient WHERE wait IS NOT NULL

-- name: insert_manifest
-- A file that was sent whole. kept_bytes stays null: to the release before, nothing is kept of it.
INSERT INTO export_manifests (organization_id, export_id, made_at, manifest, signature, request, sha256, people, people_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: select_known_blocks
-- Those of these blocks that other files of the organization have.
SELECT block FROM export_blocks WHERE organization_id = $1 AND block = ANY($2::bytea[])

-- name: insert_export_block
-- A block that no other file has.
INSERT INTO export_blocks (organization_id, block, data) VALUES ($1, $2, $3)

-- name: insert_export_lines
-- A part of what is kept of a file.
INSERT INTO export_lines (organization_id, export_id, position, first_on, begins_at, labels_block, lines_block) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: delete_unused_of_blocks
-- Those of these blocks that no file of the organization has any longer.
DELETE FROM export_blocks b WHERE organization_id = $1 AND block = ANY($2::bytea[])
    AND NOT EXISTS (SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.lines_block = b.block)
    AND NOT EXISTS (SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.labels_block = b.block)

-- name: delete_unused_blocks
-- All blocks that no file of the organization has any longer. The release before leaves them.
DELETE FROM export_blocks b WHERE organization_id = $1
    AND NOT EXISTS (SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.lines_block = b.block)
    AND NOT EXISTS (SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.labels_block = b.block)

-- name: sum_kept_bytes
-- Bytes of an organization's blocks, and of lines that a process of the release before has stored.
SELECT ((SELECT coalesce(sum(octet_length(data)), 0) FROM export_blocks WHERE organization_id = $1)
    + (SELECT coalesce(sum(octet_length(lines) + coalesce(octet_length(labels), 0)), 0) FROM export_lines
        WHERE organization_id = $1 AND lines IS NOT NULL))::bigint

-- name: delete_manifests_of_removed
-- Deletes manifests of files by people that may have a person who was removed since.
-- With the hash of such a file a guess of the name could be tested. An event that was applied late may be a removal.
DELETE FROM export_manifests m WHERE organization_id = $1 AND (EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) OR EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))

-- name: delete_old_manifests
-- Keeps $2 manifests of an organization: $3, the newest $4 of each request by age, then the next $4 of each, and so on.
-- Those before $5 are the first to go.
-- Between the first and the newest of the same bytes, repeats count as the oldest of their request.
-- Returns the blocks that the deleted ones had.
WITH same AS (
    SELECT export_id, made_at, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests WHERE organization_id = $1
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
), old AS (
    SELECT export_id FROM ranked ORDER BY export_id <> $3, made_at < $5, (rank - 1) / $4, made_at DESC, export_id OFFSET $2
), lines AS (
    DELETE FROM export_lines l USING old o WHERE l.organization_id = $1 AND l.export_id = o.export_id RETURNING l.lines_block, l.labels_block
), manifests AS (
    DELETE FROM export_manifests m USING old o WHERE m.organization_id = $1 AND m.export_id = o.export_id
)
SELECT lines_block AS block FROM lines WHERE lines_block IS NOT NULL
UNION SELECT labels_block FROM lines WHERE labels_block IS NOT NULL

-- name: delete_old_lines
-- Keeps 7/8 of $2 bytes of blocks, in the order of delete_old_manifests; of $3 alone up to all of them.
-- Only files of which lines are kept count.
-- A block counts for the first file in this order that has it.
WITH same AS (
    SELECT export_id, made_at, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests m WHERE organization_id = $1
        AND EXISTS (SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.export_id = m.export_id AND l.position = 0)
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
), placed AS (
    SELECT export_id, row_number() OVER (ORDER BY export_id <> $3, made_at < $5, (rank - 1) / $4, made_at DESC, export_id) AS place FROM ranked
), parts AS (
    SELECT p.place, l.lines_block, l.labels_block, octet_length(l.lines) + coalesce(octet_length(l.labels), 0) AS inline_bytes
    FROM placed p JOIN export_lines l ON l.organization_id = $1 AND l.export_id = p.export_id
), owned AS (
    SELECT block, min(place) AS place FROM (SELECT place, lines_block AS block FROM parts UNION ALL SELECT place, labels_block FROM parts) AS used
    GROUP BY block
), sized AS (
    SELECT o.place, octet_length(b.data) AS bytes FROM owned o JOIN export_blocks b ON b.organization_id = $1 AND b.block = o.block
    UNION ALL SELECT place, inline_bytes FROM parts
), of_places AS (
    SELECT place, sum(bytes) AS bytes FROM sized GROUP BY place
), summed AS (
    SELECT p.export_id, sum(o.bytes) OVER (ORDER BY p.place) AS bytes FROM placed p LEFT JOIN of_places o USING (place)
), forgotten AS (
    SELECT export_id FROM summed WHERE bytes > CASE WHEN export_id = $3 THEN $2::bigint ELSE $2 / 8 * 7 END
), of_release_before AS (
    UPDATE export_manifests m SET kept_bytes = NULL FROM forgotten f
    WHERE m.organization_id = $1 AND m.export_id = f.export_id AND m.kept_bytes IS NOT NULL
)
DELETE FROM export_lines l USING forgotten f WHERE l.organization_id = $1 AND l.export_id = f.export_id

-- name: select_manifests
-- The newest manifests of an organization that shows $2 of people, without those that reveal more of them.
WITH newest AS MATERIALIZED (
    SELECT export_id, made_at, manifest, signature, kept_bytes FROM export_manifests m
    WHERE organization_id = $1 AND (people IS NULL OR people = $2 AND NOT EXISTS (
        SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
    ) AND NOT EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))
    ORDER BY made_at DESC, export_id LIMIT $3
)
SELECT manifest, signature IS NOT NULL AS is_signed, (kept_bytes IS NOT NULL OR EXISTS (
    SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.export_id = n.export_id AND l.position = 0)) AS is_kept FROM newest n
ORDER BY made_at DESC, export_id

-- name: select_actors_version
-- The newest event of an actor of an organization, and the newest one that was applied late.
SELECT ARRAY[coalesce((SELECT max(event_offset) FROM actors WHERE organization_id = $1), -1),
    coalesce((SELECT max(reload_id) FROM catalog_reloads WHERE organization_id = $1), -1)]

-- name: select_manifest
-- One manifest of an organization that shows $3 of people, unless it reveals more of them.
SELECT manifest, signature, (kept_bytes IS NOT NULL OR EXISTS (
    SELECT FROM export_lines l WHERE l.organization_id = $1 AND l.export_id = m.export_id AND l.position = 0)) AS is_kept FROM export_manifests m
WHERE organization_id = $1 AND export_id = $2 AND (people IS NULL OR people = $3 AND NOT EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) AND NOT EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))

-- name: select_export_lines
-- One part of what is kept of a file.
SELECT p.first_on, p.begins_at, coalesce(p.labels, labels.data) AS labels, coalesce(p.lines, lines.data) AS lines FROM export_lines p
LEFT JOIN export_blocks labels ON labels.organization_id = $1 AND labels.block = p.labels_block
LEFT JOIN export_blocks lines ON lines.organization_id = $1 AND lines.block = p.lines_block
WHERE p.organization_id = $1 AND p.export_id = $2 AND p.position = $3
