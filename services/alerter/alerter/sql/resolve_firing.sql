-- The level fell under a threshold again, or the threshold or what it is a percentage of was removed.
UPDATE alert_firings SET resolved_at = $6, resolution = $7
WHERE organization_id = $1 AND rule = $2 AND contract_id = $3 AND period_id = $4 AND threshold = $5 AND resolved_at IS NULL
RETURNING firing_id, episode, told, starts_on, ends_on, fired_at
