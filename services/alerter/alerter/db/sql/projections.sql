-- Projections of periods: what they are made from, and the last one of each period.

-- name: select_projections
-- Select the last projections of these organizations (null: all).
SELECT organization_id, rule, contract_id, period_id, starts_on, ends_on, day, available, thresholds, permilles, p10, p50, p90, refusal, detail, projected_at
FROM alert_projections WHERE $1::integer[] IS NULL OR organization_id = ANY($1)

-- name: save_projection
-- Store a period's projection in place of the last one of its rule.
INSERT INTO alert_projections (organization_id, rule, contract_id, period_id, starts_on, ends_on, day, available, thresholds, permilles, p10, p50, p90, refusal,
    detail, projected_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (organization_id, rule) DO UPDATE SET contract_id = excluded.contract_id, period_id = excluded.period_id, starts_on = excluded.starts_on,
    ends_on = excluded.ends_on, day = excluded.day,
    available = excluded.available, thresholds = excluded.thresholds, permilles = excluded.permilles, p10 = excluded.p10, p50 = excluded.p50,
    p90 = excluded.p90, refusal = excluded.refusal, detail = excluded.detail, projected_at = excluded.projected_at

-- name: select_counted_to
-- Select what refuses projections: the watermark of topic $2, whether counting fails, and held events.
-- counted: events since the day $3. complete_to is null while it is unknown for any partition.
SELECT (SELECT CASE WHEN bool_and(greatest(caught_up_at, complete_to) IS NOT NULL) THEN min(greatest(caught_up_at, complete_to)) END
        FROM partition_progress LEFT JOIN partition_ends USING (topic, partition) WHERE topic = $2) AS complete_to,
    EXISTS (SELECT FROM quarantine WHERE organization_id = $1 AND component = 'aggregator') AS is_quarantined,
    (SELECT count(*) FROM usage_held WHERE organization_id = $1)
        + (SELECT count(*) FROM quarantined_records WHERE organization_id = $1 AND topic = $2) AS held,
    (SELECT coalesce(sum(events), 0)::bigint FROM usage_organization_monthly WHERE organization_id = $1 AND month >= $3) AS counted

-- name: sum_days
-- Micro-credits of an organization on each day from $2 to $3 with usage.
SELECT day, sum(credits)::bigint AS credits FROM usage_organization_daily WHERE organization_id = $1 AND day BETWEEN $2 AND $3 GROUP BY day

-- name: sum_quarters
-- Micro-credits of each quarter of an hour in [$2, $3) with usage.
SELECT bucket_at, sum(credits)::bigint AS credits FROM usage_15m
WHERE organization_id = $1 AND bucket_at >= $2 AND bucket_at < $3 GROUP BY bucket_at
