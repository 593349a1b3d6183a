-- The outbox of alert events: alert_events for the topic, alert_deliveries with their attempts for webhooks and Slack.

-- name: find_notice
-- Whether an alert event has this id.
SELECT true FROM alert_events WHERE event_id = $1

-- name: insert_notice
-- Insert an alert event of a firing or a resolution, and its deliveries: to webhooks if $7, to Slack if $8.
WITH notice AS (
    INSERT INTO alert_events (organization_id, firing_id, event_id, kind, body, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING alert_event_id
)
INSERT INTO alert_deliveries (organization_id, channel_id, alert_event_id, created_at)
SELECT $1, c.channel_id, notice.alert_event_id, $6 FROM notice, alert_channels c
WHERE c.organization_id = $1 AND c.removed_at IS NULL AND c.stopped_at IS NULL AND CASE c.kind WHEN 'webhook' THEN $7::boolean ELSE $8::boolean END

-- name: insert_test_notice
-- Insert a test for channel $2 only, unless the channel was removed or stopped. It is never published to the topic.
WITH channel AS (
    SELECT channel_id FROM alert_channels WHERE organization_id = $1 AND channel_id = $2 AND removed_at IS NULL AND stopped_at IS NULL
), notice AS (
    INSERT INTO alert_events (organization_id, event_id, kind, body, created_at, published_at)
    SELECT $1, $3, 'test', $4, $5, $5 FROM channel RETURNING alert_event_id
)
INSERT INTO alert_deliveries (organization_id, channel_id, alert_event_id, created_at) SELECT $1, $2, alert_event_id, $5 FROM notice

-- name: claim_notices
-- Select about $1 unpublished alert events in order, in equal parts of organizations above number $2 and up to $3.
-- No other process publishes an organization's events until this transaction ends, so their order is kept.
-- Organizations that are quarantined for this step wait.
WITH RECURSIVE walk (organization_id, is_mine, claimed) AS (
    SELECT $2::integer, false, 0
    UNION ALL
    SELECT next.organization_id, next.is_mine, walk.claimed + next.is_mine::integer
    FROM walk CROSS JOIN LATERAL (
        SELECT n.organization_id, NOT EXISTS (SELECT FROM quarantine q
                WHERE q.organization_id = n.organization_id AND q.component = 'alerter' AND q.step = 'publish' AND q.retry_at > now())
            AND pg_try_advisory_xact_lock(hashtext('flexcredits.publish'), n.organization_id) AS is_mine
        FROM alert_events n WHERE n.published_at IS NULL AND n.organization_id > walk.organization_id AND n.organization_id <= $3
        ORDER BY n.organization_id, n.alert_event_id NULLS FIRST LIMIT 1) AS next
    WHERE walk.claimed < $1
), turns AS MATERIALIZED (SELECT organization_id FROM walk WHERE is_mine)
SELECT n.alert_event_id, n.organization_id, (SELECT o.organization FROM organizations o WHERE o.organization_id = n.organization_id) AS organization, n.body
FROM turns CROSS JOIN LATERAL (
    SELECT alert_event_id, organization_id, body FROM alert_events WHERE organization_id = turns.organization_id AND published_at IS NULL
    ORDER BY alert_event_id NULLS FIRST LIMIT (SELECT ceil($1::float8 / count(*)) FROM turns) FOR UPDATE SKIP LOCKED) AS n
ORDER BY n.alert_event_id

-- name: mark_notices_published
-- Mark alert events that Kafka has confirmed.
UPDATE alert_events SET published_at = now() WHERE alert_event_id = ANY($1::bigint[])

-- name: claim_deliveries
-- Claim up to $1 due deliveries for $2 seconds. After that they are due again, because their process has died.
-- A channel has one delivery in progress at a time, in order, so a receiver that hangs takes only one place.
-- Organizations take turns from the one after number $5, and none has more than $4 in progress; $3 has an organization
-- for each delivery in progress. The walk takes one step for each channel with pending deliveries, independent of their
-- number.
WITH RECURSIVE sending AS MATERIALIZED (
    -- A delivery in progress has no stored result of its attempt yet.
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
FROM alert_channels c, alert_events n
WHERE d.delivery_id = ANY (ARRAY(
    SELECT due.delivery_id FROM (
        SELECT delivery_id FROM turns
        WHERE turn + coalesce(cardinality(array_positions($3::integer[], organization_id)), 0) <= $4
        ORDER BY turn, organization_id LIMIT $1) AS first
    CROSS JOIN LATERAL (
        SELECT delivery_id FROM alert_deliveries WHERE delivery_id = first.delivery_id AND state = 'pending' AND due_at <= now()
        LIMIT 1 FOR UPDATE SKIP LOCKED) AS due))
    AND c.channel_id = d.channel_id AND n.alert_event_id = d.alert_event_id
RETURNING d.delivery_id, d.organization_id, d.channel_id, c.kind, c.url, c.signing_secret, c.content_type, n.event_id, n.body, d.created_at, d.attempts AS attempt,
    extract(epoch FROM now() - d.pending_since)::float8 AS waited_s

-- name: record_delivery_attempt
-- Store the result of attempt $2: sent, refused, or deferred for $5 seconds.
-- A result "sent" is final, also if another attempt has started since.
WITH attempt AS (
    INSERT INTO alert_delivery_attempts (delivery_id, organization_id, attempt, outcome, detail)
    SELECT delivery_id, organization_id, $2, $3, $4 FROM alert_deliveries WHERE delivery_id = $1
    ON CONFLICT (delivery_id, attempt) DO NOTHING
)
UPDATE alert_deliveries SET
    state = CASE $3 WHEN 'sent' THEN 'sent' WHEN 'refused' THEN 'failed' ELSE 'pending' END,
    finished_at = CASE WHEN $3 <> 'deferred' THEN now() END,
    due_at = CASE WHEN $3 = 'deferred' THEN now() + make_interval(secs => $5) ELSE due_at END
WHERE delivery_id = $1 AND state = 'pending' AND ($3 = 'sent' OR attempts = $2)

-- name: retry_deliveries
-- Make deliveries of these organizations due that could not be written ($2), among the first $3 of each channel.
-- The others stay due at their own time. Deliveries that were deferred for another reason keep their wait, and those in
-- progress have no result yet.
UPDATE alert_deliveries SET due_at = now() WHERE delivery_id = ANY (ARRAY(
    SELECT d.delivery_id FROM unnest($1::integer[]) AS due (organization_id)
    JOIN alert_channels c ON c.organization_id = due.organization_id AND c.removed_at IS NULL
    CROSS JOIN LATERAL (
        SELECT delivery_id, attempts FROM alert_deliveries
        WHERE organization_id = c.organization_id AND channel_id = c.channel_id AND state = 'pending'
        ORDER BY delivery_id NULLS FIRST LIMIT $3) AS d
    WHERE (SELECT a.detail FROM alert_delivery_attempts a WHERE (a.delivery_id, a.attempt) = (d.delivery_id, d.attempts)) = $2))
    AND state = 'pending' AND due_at > now()

-- name: stop_channel
-- Stop a channel whose receiver is gone. Its pending deliveries fail.
WITH stopped AS (
    UPDATE alert_channels SET stopped_at = now(), stop_reason = $2 WHERE channel_id = $1 AND stopped_at IS NULL
)
UPDATE alert_deliveries SET state = 'failed', finished_at = now() WHERE channel_id = $1 AND state = 'pending'
