-- name: select_test_mails
-- The latest $3 test mails to an address, with the last error of those that are not sent.
SELECT e.recipient, e.state, e.attempts, e.created_at, CASE e.state WHEN 'sent' THEN e.finished_at END AS sent_at,
    CASE e.state WHEN 'pending' THEN e.due_at END AS next_attempt_at, last_failure.detail AS last_error, e.email_id
FROM email_outbox e
LEFT JOIN LATERAL (SELECT a.detail FROM email_attempts a
    WHERE a.organization_id = $1 AND a.email_id = e.email_id AND a.outcome <> 'sent' AND e.state <> 'sent'
    ORDER BY a.attempt DESC LIMIT 1) AS last_failure ON true
WHERE e.organization_id = $1 AND e.recipient = $2 AND e.firing_id IS NULL
ORDER BY e.email_id DESC LIMIT $3

-- name: insert_mail_request
-- Make the alerter send a test mail (no firing), or resend the mail of a firing.
-- Without a recipient, resend to all whose mail failed.
INSERT INTO mail_requests (organization_id, kind, rule, firing_id, recipient) VALUES ($1, $2, $3, $4, $5)
