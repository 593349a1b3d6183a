-- One firing of the organization.
SELECT firing_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available, told, resolved_at, resolution
FROM alert_firings WHERE organization_id = $1 AND firing_id = $2
