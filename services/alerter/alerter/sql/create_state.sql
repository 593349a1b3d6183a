-- The row to lock.
INSERT INTO alert_state (organization_id, settled_at) VALUES ($1, $2) ON CONFLICT DO NOTHING
