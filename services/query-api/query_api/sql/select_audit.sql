-- What was done, newest first.
SELECT audit_id, at, subject, email, role, action, details, request_id, host(ip) AS ip FROM audit_log
WHERE organization_id = $1 AND ($2::bigint IS NULL OR audit_id < $2) ORDER BY audit_id DESC LIMIT $3
