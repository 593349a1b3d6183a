-- A firing's mails that failed (recipient $3, null: all of them) are due again, under the Message-ID that they have; their attempts go on.
UPDATE email_outbox SET state = 'pending', settled_at = NULL, due_at = now(), pending_since = now()
WHERE organization_id = $1 AND firing_id = $2 AND state = 'failed' AND ($3::text IS NULL OR lower(recipient) = lower($3))
