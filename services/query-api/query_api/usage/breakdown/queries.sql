-- name: select_usage_version
-- Counters that change with usage and catalog of the organization.
-- Events, corrections and sightings only increase (held usage counts too, as it names agents), and each applied catalog event has
-- a higher offset. Series are never deleted. The rebuild counter is included because a rebuild may move credits without changing the others.
SELECT u.events, u.credits,
    (SELECT coalesce(sum(corrections), 0) FROM usage_corrections WHERE organization_id = $1)::bigint AS corrections,
    (SELECT coalesce(sum(extract(epoch FROM seen_at) + coalesce(extract(epoch FROM named_at), 0)) + count(*) + count(*) FILTER (WHERE ever_saved), 0)
        FROM agent_sightings WHERE organization_id = $1) AS sightings,
    (SELECT coalesce(max(event_offset), -1) FROM (
        SELECT event_offset FROM organizations WHERE organization_id = $1
        UNION ALL SELECT max(event_offset) FROM contracts WHERE organization_id = $1
        UNION ALL SELECT max(event_offset) FROM agents WHERE organization_id = $1
        UNION ALL SELECT max(event_offset) FROM features WHERE organization_id IN (0, $1)
    ) AS catalog_events) AS newest_event_offset,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE organization_id = $1) AS rebuilt,
    (SELECT count(*) FROM usage_series WHERE organization_id = $1) AS series
FROM (
    SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(credits), 0)::bigint AS credits
    FROM usage_organization_monthly WHERE organization_id = $1
) AS u
