-- Take deliveries that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again. One per channel, so that a receiver that hangs takes no more than one place; organizations take turns, except $3, which have their share in hand.
UPDATE alert_deliveries d SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM (
    SELECT d.delivery_id, c.kind, c.url, c.signing_secret, c.content_type, n.event_id, n.body
    FROM (SELECT delivery_id, row_number() OVER (PARTITION BY organization_id ORDER BY due_at, delivery_id) AS turn FROM alert_deliveries first
        WHERE first.state = 'pending' AND first.due_at <= now() AND NOT first.organization_id = ANY($3::integer[])
            AND NOT EXISTS (SELECT FROM alert_deliveries earlier WHERE earlier.channel_id = first.channel_id AND earlier.state = 'pending'
                AND earlier.delivery_id < first.delivery_id AND earlier.due_at <= now())) AS turns
    JOIN alert_deliveries d USING (delivery_id) JOIN alert_channels c USING (channel_id) JOIN alert_notices n USING (notice_id)
    WHERE d.state = 'pending' AND d.due_at <= now()
    ORDER BY turns.turn, d.due_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED
) AS due
WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.organization_id, d.channel_id, due.kind, due.url, due.signing_secret, due.content_type, due.event_id, due.body, d.created_at, d.attempts AS attempt,
    extract(epoch FROM now() - d.pending_since)::float8 AS waited_s
