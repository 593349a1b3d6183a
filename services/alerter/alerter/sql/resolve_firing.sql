-- The level fell under a threshold again, or the threshold was removed.
UPDATE alert_firings SET resolved_at = $5, resolution = $6
WHERE organization_id = $1 AND rule = 'usage' AND contract_id = $2 AND period_id = $3 AND threshold = $4 AND resolved_at IS NULL
