-- name: present_session
-- Row-level security shows only the session with this hash until the transaction ends.
SELECT set_config('app.session', $1, true)

-- name: select_session
-- The session with this hash.
SELECT organization, subject, name, email, role, created_at, last_seen_at, expires_at, email_verified
FROM sessions WHERE session_sha256 = decode($1, 'hex')

-- name: select_role_since
-- The role that a member event set after an instant, if any.
SELECT role FROM members WHERE organization_id = app_organization_id() AND email = $1 AND event_at > $2 AND NOT removed

-- name: touch_session
-- Record that the session was used.
UPDATE sessions SET last_seen_at = $2 WHERE session_sha256 = decode($1, 'hex')

-- name: insert_session
-- Create a session.
INSERT INTO sessions (session_sha256, organization_id, organization, subject, name, email, role, created_at, last_seen_at, expires_at, email_verified)
VALUES (decode($1, 'hex'), $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)

-- name: delete_session
-- End the session.
DELETE FROM sessions WHERE session_sha256 = decode($1, 'hex')

-- name: delete_expired_sessions
-- Delete expired sessions.
SELECT delete_expired_sessions($1)
