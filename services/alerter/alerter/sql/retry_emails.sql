-- The mails of these organizations that could not be written ($2) are due now. What was deferred for another reason keeps its wait, and what is being sent has no attempt yet.
UPDATE email_outbox e SET due_at = now()
WHERE e.organization_id = ANY($1::integer[]) AND e.state = 'pending' AND e.due_at > now()
    AND EXISTS (SELECT FROM email_attempts a WHERE a.email_id = e.email_id AND a.attempt = e.attempts AND a.detail = $2)
