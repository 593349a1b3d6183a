-- Take mails that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again. Organizations take turns, and none has more than $4 in hand; $3 has an organization for each mail in hand.
UPDATE email_outbox e SET attempts = e.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM (SELECT o.email_id, coalesce(o.facts, f.facts) AS facts
    FROM (SELECT email_id, organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY due_at, email_id) AS turn FROM email_outbox
        WHERE state = 'pending' AND due_at <= now()) AS turns
    JOIN email_outbox o USING (email_id) LEFT JOIN alert_firings f USING (firing_id)
    WHERE o.state = 'pending' AND o.due_at <= now() AND turns.turn + cardinality(array_positions($3::integer[], turns.organization_id)) <= $4
    ORDER BY turns.turn, o.due_at LIMIT $1 FOR UPDATE OF o SKIP LOCKED) AS due
WHERE e.email_id = due.email_id
RETURNING e.email_id, e.message_id, e.recipient, e.is_additional, e.created_at, e.attempts AS attempt,
    extract(epoch FROM now() - e.pending_since)::float8 AS waited_s, due.facts, e.organization_id
