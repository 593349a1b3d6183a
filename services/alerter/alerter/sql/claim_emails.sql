-- Take up to $1 mails that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again. Organizations take turns, from number $5 on: equal parts, and none has more than $4 in hand; $3 has an organization for each mail in hand. The walk takes one step for each organization with a pending mail, however many it has.
WITH RECURSIVE walk (organization_id, room, due) AS (
    SELECT $5::integer, 0, 0
    UNION ALL
    SELECT next.organization_id, next.room, walk.due + (next.room > 0)::integer
    FROM walk CROSS JOIN LATERAL (
        SELECT organization_id,
            CASE WHEN due_at <= now() THEN $4 - coalesce(cardinality(array_positions($3::integer[], organization_id)), 0) ELSE 0 END AS room
        FROM email_outbox WHERE state = 'pending' AND organization_id > walk.organization_id
        ORDER BY organization_id, due_at NULLS FIRST LIMIT 1) AS next
    WHERE walk.due < $1
), turns AS MATERIALIZED (SELECT organization_id, room FROM walk WHERE room > 0)
UPDATE email_outbox e SET attempts = e.attempts + 1, due_at = now() + make_interval(secs => $2)
WHERE e.email_id = ANY (ARRAY(
    SELECT due.email_id FROM turns CROSS JOIN LATERAL (
        SELECT email_id FROM email_outbox WHERE organization_id = turns.organization_id AND state = 'pending' AND due_at <= now()
        ORDER BY due_at NULLS FIRST, email_id
        LIMIT least(turns.room, (SELECT ceil($1::float8 / count(*)) FROM turns)) FOR UPDATE SKIP LOCKED) AS due
    LIMIT $1))
RETURNING e.email_id, e.message_id, e.recipient, e.is_additional, e.created_at, e.attempts AS attempt,
    extract(epoch FROM now() - e.pending_since)::float8 AS waited_s,
    coalesce(e.facts, (SELECT f.facts FROM alert_firings f WHERE f.firing_id = e.firing_id)) AS facts, e.organization_id
