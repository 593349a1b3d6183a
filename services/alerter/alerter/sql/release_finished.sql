-- Organizations that were set aside for something in an outbox, and have nothing left there that was tried.
DELETE FROM quarantine q USING organizations o
WHERE o.organization_id = q.organization_id AND q.component = 'alerter' AND CASE q.step
    WHEN 'mail' THEN NOT EXISTS (SELECT FROM email_outbox e WHERE e.organization_id = q.organization_id AND e.state = 'pending' AND e.attempts > 0)
    WHEN 'channel' THEN NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.organization_id = q.organization_id AND d.state = 'pending' AND d.attempts > 0)
    WHEN 'publish' THEN NOT EXISTS (SELECT FROM alert_notices n WHERE n.organization_id = q.organization_id AND n.published_at IS NULL)
    WHEN 'request' THEN NOT EXISTS (SELECT FROM mail_requests r WHERE r.organization_id = q.organization_id)
    ELSE false END
RETURNING o.organization, q.step
