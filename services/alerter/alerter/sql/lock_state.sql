-- Whoever holds this row may change the organization's firings; no row is there before the first time.
SELECT true FROM alert_state WHERE organization_id = $1 FOR UPDATE
