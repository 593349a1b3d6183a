-- Take mails that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again.
UPDATE email_outbox e SET attempts = e.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM (SELECT o.email_id, coalesce(o.facts, f.facts) AS facts FROM email_outbox o LEFT JOIN alert_firings f USING (firing_id)
    WHERE o.state = 'pending' AND o.due_at <= now() ORDER BY o.due_at LIMIT $1 FOR UPDATE OF o SKIP LOCKED) AS due
WHERE e.email_id = due.email_id
RETURNING e.email_id, e.message_id, e.recipient, e.is_additional, e.created_at, e.attempts AS attempt,
    extract(epoch FROM now() - e.pending_since)::float8 AS waited_s, due.facts
