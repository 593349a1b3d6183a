-- Somebody asks for it: what was beyond the limit is tried once more.
UPDATE usage_held SET waits_for = 'rate' WHERE organization_id = $1 AND waits_for = 'sum_limit'
