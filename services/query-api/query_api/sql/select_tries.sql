-- Every attempt at the mails of a firing, and what the mail server said to it.
SELECT a.email_id, a.attempt, a.attempted_at AS at, a.outcome, a.detail FROM email_outbox e JOIN email_attempts a USING (email_id)
WHERE e.organization_id = $1 AND e.firing_id = $2 AND a.organization_id = $1
ORDER BY a.email_id, a.attempt
