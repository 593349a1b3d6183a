-- A person has signed in.
INSERT INTO sessions (session_sha256, organization_id, organization, subject, name, email, role, created_at, last_seen_at, expires_at)
VALUES (decode($1, 'hex'), $2, $3, $4, $5, $6, $7, $8, $8, $9)
