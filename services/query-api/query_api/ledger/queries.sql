-- name: select_receipt
-- One event by its identity: ledger row, rate, and what it waits for while held.
SELECT l.credits, l.occurred_at, l.received_at, l.kafka_partition, l.kafka_offset, l.held, l.corrected, l.quantity,
    l.corrects_bucket, l.corrects, s.product, s.feature_kind, coalesce(h.feature, s.feature) AS feature, s.agent_id, s.surface,
    coalesce(r.unit, h.unit) AS unit, r.credits AS rate_credits, r.per, r.effective_from, r.received_at AS rate_received_at,
    r.organization_id = l.organization_id AS is_own, h.waits_for, c.reason,
    coalesce(l.attribution_id, h.attribution_id) AS attribution_id, coalesce(l.run, h.run) AS run, h.run_id, h.parent_id,
    l.quantities
FROM usage_ledger l
JOIN usage_series s ON s.series_id = l.series_id
LEFT JOIN rates r ON r.rate_id = l.rate_id
LEFT JOIN usage_held h ON l.held AND (h.ledger_bucket, h.identity) = (l.ledger_bucket, l.identity)
LEFT JOIN correction_reasons c ON (c.ledger_bucket, c.identity) = (l.ledger_bucket, l.identity)
WHERE l.organization_id = $1 AND l.ledger_bucket = $2 AND l.identity = $3

-- name: select_rates_used
-- Rates of the units of an event with several quantities.
SELECT rate_id, credits, per, effective_from, received_at, organization_id = $1 AS is_own, part_of
FROM rates WHERE organization_id IN (0, $1) AND rate_id = ANY($2::integer[])

-- name: select_corrections
-- Counted corrections of one event, ordered by time.
-- Their partition is unknown, so all partitions are read by a partial index of corrections.
SELECT l.credits, l.occurred_at, l.received_at, l.kafka_partition, l.kafka_offset, l.held, c.reason
FROM usage_ledger l LEFT JOIN correction_reasons c USING (ledger_bucket, identity)
WHERE l.organization_id = $1 AND l.corrects_bucket = $2 AND l.corrects = $3 AND NOT l.held
ORDER BY l.occurred_at, l.kafka_partition, l.kafka_offset

-- name: select_rejections
-- Rejections of an event by its identity, oldest first.
SELECT topic, partition, kafka_offset AS "offset", reason, pointer, received_at FROM dead_letter_outbox
WHERE organization = current_setting('app.organization', true) AND identity = $1
ORDER BY received_at, partition, kafka_offset
