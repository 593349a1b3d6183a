-- name: select_version
-- What usage and catalog of the organization have come to.
-- Events, corrections and sightings only grow (also those of held usage, which names agents too), and every applied fact has a
-- higher offset than those before it. A rebuild may move credits without changing any of them.
SELECT u.events, u.credits,
    (SELECT coalesce(sum(corrections), 0) FROM usage_corrections WHERE organization_id = $1)::bigint AS corrections,
    (SELECT coalesce(sum(extract(epoch FROM seen_at) + coalesce(extract(epoch FROM named_at), 0)) + count(*) + count(*) FILTER (WHERE ever_saved), 0)
        FROM agent_sightings WHERE organization_id = $1) AS sightings,
    (SELECT coalesce(max(fact_offset), -1) FROM (
        SELECT fact_offset FROM organizations WHERE organization_id = $1
        UNION ALL SELECT max(fact_offset) FROM contracts WHERE organization_id = $1
        UNION ALL SELECT max(fact_offset) FROM agents WHERE organization_id = $1
        UNION ALL SELECT max(fact_offset) FROM features WHERE organization_id IN (0, $1)
    ) AS facts) AS newest_fact,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE organization_id = $1) AS rebuilt
FROM (
    SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(credits), 0)::bigint AS credits
    FROM usage_organization_monthly WHERE organization_id = $1
) AS u
