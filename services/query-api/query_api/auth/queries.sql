-- name: present_session
-- From here to the end of the transaction, row-level security shows the session with this hash.
SELECT set_config('app.session', $1, true)

-- name: select_session
-- The session that was presented.
SELECT organization, subject, name, email, role, created_at, last_seen_at, expires_at
FROM sessions WHERE session_sha256 = decode($1, 'hex')

-- name: select_role_since
-- The role that a fact gave to a member after an instant, if one did.
SELECT role FROM members WHERE organization_id = app_organization_id() AND email = $1 AND fact_at > $2 AND NOT removed

-- name: touch_session
-- The session is in use.
UPDATE sessions SET last_seen_at = $2 WHERE session_sha256 = decode($1, 'hex')

-- name: insert_session
-- A person has signed in.
INSERT INTO sessions (session_sha256, organization_id, organization, subject, name, email, role, created_at, last_seen_at, expires_at)
VALUES (decode($1, 'hex'), $2, $3, $4, $5, $6, $7, $8, $8, $9)

-- name: delete_session
-- The session ends.
DELETE FROM sessions WHERE session_sha256 = decode($1, 'hex')

-- name: delete_expired_sessions
-- Sessions that have ended are not kept.
SELECT delete_expired_sessions($1)
