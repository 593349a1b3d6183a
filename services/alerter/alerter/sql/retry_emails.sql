-- The mails of these organizations that were deferred are due now. One that is being sent has no attempt written down yet.
UPDATE email_outbox e SET due_at = now()
WHERE e.organization_id = ANY($1::integer[]) AND e.state = 'pending' AND e.due_at > now()
    AND EXISTS (SELECT FROM email_attempts a WHERE a.email_id = e.email_id AND a.attempt = e.attempts)
