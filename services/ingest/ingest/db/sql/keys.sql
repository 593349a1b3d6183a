-- name: find_key
-- The key with this id and its mapping. The caller checks at each use whether it has expired or was revoked.
SELECT k.key_id, k.secret_sha256, k.organizations, k.products, k.expires_at, k.revoked_at, m.document::text AS mapping
FROM api_keys k LEFT JOIN api_key_mappings m USING (key_id)
WHERE k.key_id = $1
