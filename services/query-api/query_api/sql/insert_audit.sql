-- Somebody did something.
INSERT INTO audit_log (organization_id, subject, email, role, action, details, request_id, ip)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
