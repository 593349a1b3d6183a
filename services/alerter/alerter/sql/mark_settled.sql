-- When this organization's firings last changed.
UPDATE alert_state SET settled_at = $2 WHERE organization_id = $1
