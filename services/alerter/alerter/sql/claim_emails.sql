-- Take mails that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again.
UPDATE email_outbox e SET attempts = e.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM (SELECT email_id FROM email_outbox WHERE state = 'pending' AND due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS due,
    alert_firings f
WHERE e.email_id = due.email_id AND f.firing_id = e.firing_id
RETURNING e.email_id, e.message_id, e.recipient, e.created_at, e.attempts, f.facts
