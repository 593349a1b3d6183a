-- name: select_live_version
-- Versions of the data behind overview and banner, in few reads. While they are equal, so are both, within one day.
SELECT u.events, u.credits,
    (SELECT coalesce(sum(corrections), 0) FROM usage_corrections WHERE organization_id = $1)::bigint AS corrections,
    (SELECT max(event_offset) FROM contracts WHERE organization_id = $1) AS newest_contract,
    (SELECT event_offset FROM organizations WHERE organization_id = $1) AS newest_event_offset,
    (SELECT max(reload_id) FROM catalog_reloads WHERE organization_id = $1) AS newest_reload,
    (SELECT ROW(contract_id, period_id, kind, threshold, episode, fired_at)::text FROM banners WHERE organization_id = $1) AS banner,
    (SELECT count(*) FROM banner_dismissals WHERE organization_id = $1) AS dismissals
FROM (
    SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(credits), 0)::bigint AS credits
    FROM usage_organization_monthly WHERE organization_id = $1
) AS u
