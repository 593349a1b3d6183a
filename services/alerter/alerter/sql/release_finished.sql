-- Organizations that were set aside for something in an outbox, and have nothing left there that could not be written ($1) or written down.
DELETE FROM quarantine q USING organizations o
WHERE o.organization_id = q.organization_id AND q.component = 'alerter' AND CASE q.step
    WHEN 'mail' THEN NOT EXISTS (SELECT FROM email_outbox e WHERE e.organization_id = q.organization_id AND e.state = 'pending' AND e.attempts > 0
        AND NOT EXISTS (SELECT FROM email_attempts a WHERE (a.email_id, a.attempt) = (e.email_id, e.attempts) AND a.detail <> $1))
    WHEN 'channel' THEN NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.organization_id = q.organization_id AND d.state = 'pending' AND d.attempts > 0
        AND NOT EXISTS (SELECT FROM alert_delivery_attempts a WHERE (a.delivery_id, a.attempt) = (d.delivery_id, d.attempts) AND a.detail <> $1))
    WHEN 'publish' THEN NOT EXISTS (SELECT FROM alert_notices n WHERE n.organization_id = q.organization_id AND n.published_at IS NULL)
    WHEN 'request' THEN NOT EXISTS (SELECT FROM mail_requests r WHERE r.organization_id = q.organization_id)
    ELSE false END
RETURNING o.organization, q.step
