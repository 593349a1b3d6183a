-- name: select_own_attributions
-- Attributions of one person: of the actor $2, and of those with the address $3 as their id or in the directory.
-- Removed people have none. Addresses in the directory are lower-case.
SELECT a.attribution_id, a.actor_id FROM usage_attributions a
WHERE a.organization_id = $1 AND (a.actor_id = ANY(
        $2::text || ARRAY(SELECT p.actor_id FROM actors p WHERE p.organization_id = $1 AND p.email = lower($3)))
        OR (a.actor_id LIKE '%@%' AND lower(a.actor_id) = lower($3)))
    AND NOT EXISTS (SELECT FROM actors p WHERE p.organization_id = $1 AND p.actor_id = a.actor_id AND p.removed)
LIMIT 100001

-- name: sum_own_usage
-- Usage of the attributions $3 on the days $2, by day and series.
SELECT u.day, s.product, s.feature_kind, s.feature, s.agent_id, sum(u.credits)::bigint AS credits, sum(u.events)::bigint AS events
FROM usage_attributed_daily u JOIN usage_series s ON s.series_id = u.series_id AND s.organization_id = $1
WHERE u.organization_id = $1 AND u.day = ANY($2::date[]) AND u.attribution_id = ANY($3::bigint[])
GROUP BY u.day, s.product, s.feature_kind, s.feature, s.agent_id

-- name: select_own_runs
-- Runs that begin in [$2, $3) with a use of the attributions $4, latest first.
SELECT run, run_id, agent_id, events FROM usage_runs
WHERE organization_id = $1 AND attribution_id = ANY($4::bigint[]) AND first_at >= $2 AND first_at < $3
ORDER BY first_at DESC, run LIMIT $5

-- name: sum_own_uses
-- Uses of the runs $2 by the attributions $3 and their corrections: others may have used the same run.
SELECT run, min(occurred_at) FILTER (WHERE corrects IS NULL) AS first_at, max(occurred_at) FILTER (WHERE corrects IS NULL) AS last_at,
    sum(credits)::bigint AS credits, count(*) FILTER (WHERE corrects IS NULL) AS events
FROM usage_ledger
WHERE organization_id = $1 AND run = ANY($2::uuid[]) AND attribution_id = ANY($3::bigint[]) AND NOT held GROUP BY run
