-- What the alerter is to mail: a test (no firing), or a firing again (no recipient: to all whose mail failed).
INSERT INTO mail_requests (organization_id, kind, rule, firing_id, recipient) VALUES ($1, $2, $3, $4, $5)
