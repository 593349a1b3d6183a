-- name: select_matching_attributions
-- Attributions of the actor $2, with the labels $3, in the group $4 or a group below it; null: any.
-- `applies_from` and `applies_until` are the days between which the actor is in the group, null without a limit. $5 are the only
-- groups to match, null: all.
WITH RECURSIVE below(group_id) AS (
    SELECT $4::text WHERE $4::text IS NOT NULL
    UNION SELECT g.group_id FROM people_groups g JOIN below ON g.parent_id = below.group_id WHERE g.organization_id = $1
), memberships AS (
    SELECT actor_id, groups[1] AS group_id, lead(effective_from) OVER by_day AS next_from,
        CASE WHEN row_number() OVER by_day > 1 THEN effective_from END AS applies_from
    FROM actor_groups WHERE organization_id = $1 AND $4::text IS NOT NULL WINDOW by_day AS (PARTITION BY actor_id ORDER BY effective_from)
)
SELECT a.attribution_id, m.applies_from, m.next_from AS applies_until
FROM usage_attributions a JOIN organizations o ON o.organization_id = $1
LEFT JOIN actors p ON p.organization_id = $1 AND p.actor_id = a.actor_id
LEFT JOIN memberships m ON a.group_id = '' AND m.actor_id = a.actor_id
WHERE a.organization_id = $1
    AND ($2::text IS NULL OR shown_actor(o.people, o.alias_key, a.actor_kind, a.actor_id, p.removed) = $2)
    AND ($3::jsonb IS NULL OR a.labels @> $3)
    AND ($4::text IS NULL OR coalesce(nullif(a.group_id, ''), m.group_id) IN (SELECT group_id FROM below))
    AND ($5::text[] IS NULL OR coalesce(nullif(a.group_id, ''), m.group_id) = ANY($5))

-- name: select_label_keys
-- Keys of labels that the organization declares.
SELECT label_keys FROM organizations WHERE organization_id = $1

-- name: select_runs
-- Runs that begin in [$2, $3), of the agent $4 (null: all), highest credits first.
-- They come after the position $8 and $9; null: from the start.
-- $5 are attributions, each from an instant in $6 until before one in $7; null: all.
SELECT r.run, r.run_id, r.parent_id, r.credits, r.events, r.first_at, r.last_at, r.agent_id, r.attribution_id
FROM usage_runs r LEFT JOIN unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[]) AS wanted(attribution_id, from_at, until_at)
    ON wanted.attribution_id = r.attribution_id AND r.first_at >= wanted.from_at AND r.first_at < wanted.until_at
WHERE r.organization_id = $1 AND r.first_at >= $2 AND r.first_at < $3 AND ($4::text IS NULL OR r.agent_id = $4)
    AND ($5::bigint[] IS NULL OR wanted.attribution_id IS NOT NULL)
    AND ($8::bigint IS NULL OR (r.credits, r.run) < ($8::bigint, $9::uuid))
ORDER BY r.credits DESC, r.run DESC LIMIT $10

-- name: sum_runs_by_agent
-- Runs by agent, highest credits first; filters as in select_runs. p50 and p95 are credits of a run, by nearest rank.
SELECT r.agent_id, count(*) AS runs, sum(r.credits)::bigint AS credits, sum(r.events)::bigint AS events,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY r.credits) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY r.credits) AS p95
FROM usage_runs r LEFT JOIN unnest($5::bigint[], $6::timestamptz[], $7::timestamptz[]) AS wanted(attribution_id, from_at, until_at)
    ON wanted.attribution_id = r.attribution_id AND r.first_at >= wanted.from_at AND r.first_at < wanted.until_at
WHERE r.organization_id = $1 AND r.first_at >= $2 AND r.first_at < $3 AND ($4::text IS NULL OR r.agent_id = $4)
    AND ($5::bigint[] IS NULL OR wanted.attribution_id IS NOT NULL)
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
