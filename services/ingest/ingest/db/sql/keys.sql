-- name: find_key
-- The key with this id. Whether it has expired or was revoked is the reader's to judge, at the moment of use.
SELECT key_id, secret_sha256, organizations, products, expires_at, revoked_at
FROM api_keys
WHERE key_id = $1
