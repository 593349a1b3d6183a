-- A page of the organization's firings, the newest first: $3 at most of those before firing $2 (null: of all). An organization's firings are made one after the other, so a later one never comes to stand behind an earlier one.
SELECT firing_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available, told, resolved_at, resolution
FROM alert_firings WHERE organization_id = $1 AND ($2::bigint IS NULL OR firing_id < $2)
ORDER BY firing_id DESC NULLS LAST LIMIT $3
