-- The session that was presented.
SELECT organization, subject, name, email, role, created_at, last_seen_at, expires_at
FROM sessions WHERE session_sha256 = decode($1, 'hex')
