-- name: insert_audit
-- Add an audit entry.
INSERT INTO audit_log (organization_id, subject, email, role, action, details, request_id, ip)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: select_audit
-- Audit entries, newest first, before entry $2 (null: from the newest).
SELECT audit_id, at, subject, email, role, action, details, request_id, host(ip) AS ip FROM audit_log
WHERE organization_id = $1 AND ($2::bigint IS NULL OR audit_id < $2) ORDER BY audit_id DESC LIMIT $3

-- name: lock_principal
-- Serialize the requests of one principal until the transaction ends.
SELECT pg_advisory_xact_lock($1::integer, hashtext($2))

-- name: select_wait
-- Seconds until a person may repeat an action that is allowed once per $4 seconds; no row: now.
SELECT extract(epoch FROM at - now())::float8 + $4::float8 AS wait_s FROM audit_log
WHERE organization_id = $1 AND subject = $2 AND action = $3 AND at > now() - make_interval(secs => $4)
ORDER BY audit_id DESC LIMIT 1
