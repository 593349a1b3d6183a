-- A mail to one person.
INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, created_at) VALUES ($1, $2, $3, $4, $5)
