-- name: find_key
-- The key with this id. The caller checks at each use whether it has expired or was revoked.
SELECT key_id, secret_sha256, organizations, products, expires_at, revoked_at
FROM api_keys
WHERE key_id = $1
