-- A mail to one person: about a firing, or a test with facts of its own.
INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, is_additional, created_at, facts) VALUES ($1, $2, $3, $4, $5, $6, $7)
