-- name: select_runs
-- Runs that begin in [$2, $3), of the agent $4 (null: all), highest credits first.
-- They come after the position $9 and $10; null: from the start. $5 are attributions, null: all. Those in $6 are wanted, too, each
-- from an instant in $7 until before one in $8. A join instead would be planned as a nested loop.
SELECT r.run, r.run_id, r.parent_id, r.credits, r.events, r.first_at, r.last_at, r.agent_id, r.attribution_id
FROM usage_runs r
WHERE r.organization_id = $1 AND r.first_at >= $2 AND r.first_at < $3 AND ($4::text IS NULL OR r.agent_id = $4)
    AND ($5::bigint[] IS NULL OR r.attribution_id = ANY($5) OR (r.attribution_id = ANY($6::bigint[]) AND EXISTS (
        SELECT FROM unnest($6::bigint[], $7::timestamptz[], $8::timestamptz[]) AS wanted(attribution_id, from_at, until_at)
        WHERE wanted.attribution_id = r.attribution_id AND r.first_at >= wanted.from_at AND r.first_at < wanted.until_at)))
    AND ($9::bigint IS NULL OR (r.credits, r.run) < ($9::bigint, $10::uuid))
ORDER BY r.credits DESC, r.run DESC LIMIT $11

-- name: sum_runs_by_agent
-- Runs by agent, highest credits first; filters as in select_runs. p50 and p95 are credits of a run, by nearest rank.
SELECT r.agent_id, count(*) AS runs, sum(r.credits)::bigint AS credits, sum(r.events)::bigint AS events,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY r.credits) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY r.credits) AS p95
FROM usage_runs r
WHERE r.organization_id = $1 AND r.first_at >= $2 AND r.first_at < $3 AND ($4::text IS NULL OR r.agent_id = $4)
    AND ($5::bigint[] IS NULL OR r.attribution_id = ANY($5) OR (r.attribution_id = ANY($6::bigint[]) AND EXISTS (
        SELECT FROM unnest($6::bigint[], $7::timestamptz[], $8::timestamptz[]) AS wanted(attribution_id, from_at, until_at)
        WHERE wanted.attribution_id = r.attribution_id AND r.first_at >= wanted.from_at AND r.first_at < wanted.until_at)))
GROUP BY r.agent_id ORDER BY credits DESC, r.agent_id

-- name: select_run
-- One run by its key.
SELECT run, run_id, parent_id, credits, events, first_at, last_at, agent_id, attribution_id
FROM usage_runs WHERE organization_id = $1 AND run = $2

-- name: select_child_runs
-- The runs that the run $2 started, by time of their first use, and the number of all of them.
SELECT run, run_id, parent_id, credits, events, first_at, last_at, agent_id, attribution_id, count(*) OVER () AS children
FROM usage_runs WHERE organization_id = $1 AND parent_id = $2 AND parent_id <> '' AND run_id <> parent_id
ORDER BY first_at, run LIMIT $3

-- name: select_run_uses
-- Uses of a run after the position $3, $4 and $5, in the order of their times. Corrections are sums of their uses.
SELECT used.ledger_bucket, used.identity, used.occurred_at, used.credits, used.corrected, used.held,
    s.product, s.feature_kind, s.feature, s.agent_id, s.surface
FROM (
    SELECT l.ledger_bucket, l.identity, l.occurred_at, l.credits, l.corrected, l.held, l.series_id FROM usage_ledger l
    WHERE l.organization_id = $1 AND l.run = $2 AND l.corrects IS NULL
        AND (l.occurred_at, l.ledger_bucket, l.identity) > ($3::timestamptz, $4::integer, $5::uuid)
    ORDER BY l.occurred_at, l.ledger_bucket, l.identity LIMIT $6
) AS used JOIN usage_series s ON s.series_id = used.series_id AND s.organization_id = $1
ORDER BY used.occurred_at, used.ledger_bucket, used.identity
