-- The session ends.
DELETE FROM sessions WHERE session_sha256 = decode($1, 'hex')
