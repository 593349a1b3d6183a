-- Take up to $1 deliveries that are due, for $2 seconds: who does not say how it ended by then has died, and they are due again. One per channel, in their order and whoever sends it, so that a receiver that hangs takes no more than one place. Organizations take turns, from number $5 on, and none has more than $4 in hand; $3 has an organization for each delivery in hand. The walk takes one step for each channel with a pending delivery, however many it has.
WITH RECURSIVE sending AS MATERIALIZED (
    -- What is being sent has no attempt written down yet.
    SELECT sent.channel_id FROM alert_deliveries sent
    WHERE sent.state = 'pending' AND sent.due_at > now() AND sent.due_at <= now() + make_interval(secs => $2) AND sent.attempts > 0
        AND (SELECT true FROM alert_delivery_attempts a WHERE (a.delivery_id, a.attempt) = (sent.delivery_id, sent.attempts) LIMIT 1) IS NULL
), walk (organization_id, channel_id, delivery_id, counted, due) AS (
    SELECT $5::integer, 9223372036854775807, NULL::bigint, NULL::integer, 0
    UNION ALL
    SELECT next.organization_id, next.channel_id, first.delivery_id,
        CASE WHEN first.delivery_id IS NULL THEN walk.counted ELSE next.organization_id END,
        walk.due + (first.delivery_id IS NOT NULL AND next.organization_id IS DISTINCT FROM walk.counted)::integer
    FROM walk CROSS JOIN LATERAL (
        SELECT organization_id, channel_id, NOT channel_id = ANY (ARRAY(SELECT channel_id FROM sending))
            AND coalesce(cardinality(array_positions($3::integer[], organization_id)), 0) < $4 AS is_free
        FROM alert_deliveries
        WHERE state = 'pending' AND (organization_id, channel_id) > (walk.organization_id, walk.channel_id)
        ORDER BY organization_id, channel_id, delivery_id NULLS FIRST LIMIT 1) AS next
    LEFT JOIN LATERAL (
        SELECT d.delivery_id FROM alert_deliveries d
        WHERE next.is_free AND d.state = 'pending' AND d.organization_id = next.organization_id AND d.channel_id = next.channel_id
            AND d.due_at <= now()
        ORDER BY d.delivery_id NULLS FIRST LIMIT 1) AS first ON true
    WHERE walk.due < $1
), turns AS MATERIALIZED (
    SELECT delivery_id, organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY delivery_id) AS turn FROM walk
    WHERE delivery_id IS NOT NULL
)
UPDATE alert_deliveries d SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => $2)
FROM alert_channels c, alert_notices n
WHERE d.delivery_id = ANY (ARRAY(
    SELECT due.delivery_id FROM (
        SELECT delivery_id FROM turns
        WHERE turn + coalesce(cardinality(array_positions($3::integer[], organization_id)), 0) <= $4
        ORDER BY turn, organization_id LIMIT $1) AS first
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM alert_deliveries WHERE delivery_id = first.delivery_id AND state = 'pending' AND due_at <= now()
        LIMIT 1 FOR UPDATE SKIP LOCKED) AS due))
    AND c.channel_id = d.channel_id AND n.notice_id = d.notice_id
RETURNING d.delivery_id, d.organization_id, d.channel_id, c.kind, c.url, c.signing_secret, c.content_type, n.event_id, n.body, d.created_at, d.attempts AS attempt,
    extract(epoch FROM now() - d.pending_since)::float8 AS waited_s
