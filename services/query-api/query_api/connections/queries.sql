-- name: select_api_keys
-- Keys for exactly organization $1, without revoked ones, with the last change of their mappings. Oldest first.
SELECT k.key_id, k.products, k.created_at, k.expires_at, m.updated_at AS mapped_at, m.updated_by AS mapped_by
FROM api_keys k LEFT JOIN api_key_mappings m USING (key_id)
WHERE k.organizations = ARRAY[$1] AND k.revoked_at IS NULL
ORDER BY k.created_at, k.key_id

-- name: select_mapping
-- The mapping of a key for exactly organization $1; without one, a row of nulls. No row without such a key.
SELECT m.document, m.updated_at, m.updated_by
FROM api_keys k LEFT JOIN api_key_mappings m USING (key_id)
WHERE k.organizations = ARRAY[$1] AND k.key_id = $2 AND k.revoked_at IS NULL

-- name: insert_mapping
-- Save the first mapping of a key. No row if it has one.
INSERT INTO api_key_mappings (key_id, document, updated_at, updated_by) VALUES ($1, $2, now(), $3)
ON CONFLICT (key_id) DO NOTHING RETURNING key_id

-- name: update_mapping
-- Replace the mapping of a key, if it was last changed at $4. No row otherwise.
UPDATE api_key_mappings SET document = $2, updated_at = now(), updated_by = $3 WHERE key_id = $1 AND updated_at = $4 RETURNING key_id

-- name: delete_mapping
-- Delete the mapping of a key, if it was last changed at $2. No row otherwise.
DELETE FROM api_key_mappings WHERE key_id = $1 AND updated_at = $2 RETURNING key_id
