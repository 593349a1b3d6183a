-- The session is in use.
UPDATE sessions SET last_seen_at = $2 WHERE session_sha256 = decode($1, 'hex')
