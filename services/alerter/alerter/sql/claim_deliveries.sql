-- Take deliveries that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again. One per channel, in their order and whoever sends it, so that a receiver that hangs takes no more than one place. Organizations take turns, and none has more than $4 in hand; $3 has an organization for each delivery in hand.
UPDATE alert_deliveries d SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM (
    SELECT d.delivery_id, c.kind, c.url, c.signing_secret, c.content_type, n.event_id, n.body
    FROM (SELECT delivery_id, organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY due_at, delivery_id) AS turn
        FROM (SELECT DISTINCT ON (channel_id) channel_id, delivery_id, organization_id, due_at FROM alert_deliveries
            WHERE state = 'pending' AND due_at <= now() ORDER BY channel_id, delivery_id) AS first
        -- What is being sent has no attempt written down yet.
        WHERE channel_id NOT IN (SELECT sent.channel_id FROM alert_deliveries sent
            WHERE sent.state = 'pending' AND sent.due_at > now() AND sent.due_at <= now() + make_interval(secs => $2) AND sent.attempts > 0
                AND NOT EXISTS (SELECT FROM alert_delivery_attempts a WHERE (a.delivery_id, a.attempt) = (sent.delivery_id, sent.attempts)))) AS turns
    JOIN alert_deliveries d USING (delivery_id) JOIN alert_channels c USING (channel_id) JOIN alert_notices n USING (notice_id)
    WHERE d.state = 'pending' AND d.due_at <= now() AND turns.turn + cardinality(array_positions($3::integer[], turns.organization_id)) <= $4
    ORDER BY turns.turn, d.due_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED
) AS due
WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.organization_id, d.channel_id, due.kind, due.url, due.signing_secret, due.content_type, due.event_id, due.body, d.created_at, d.attempts AS attempt,
    extract(epoch FROM now() - d.pending_since)::float8 AS waited_s
