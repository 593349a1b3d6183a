-- The mails of these firings by recipient, and what the mail server said last to one that is not sent.
SELECT e.firing_id, e.recipient, e.state, e.attempts, e.created_at, CASE e.state WHEN 'sent' THEN e.settled_at END AS sent_at,
    CASE e.state WHEN 'pending' THEN e.due_at END AS next_attempt_at, last_failure.detail AS last_error, e.email_id
FROM email_outbox e
LEFT JOIN LATERAL (SELECT a.detail FROM email_attempts a
    WHERE a.organization_id = $1 AND a.email_id = e.email_id AND a.outcome <> 'sent' AND e.state <> 'sent'
    ORDER BY a.attempt DESC LIMIT 1) AS last_failure ON true
WHERE e.organization_id = $1 AND e.firing_id = ANY($2::bigint[])
ORDER BY e.firing_id, e.recipient, e.email_id
