-- Nobody else saves until the transaction ends; no row is there before the first time.
SELECT version FROM alert_settings WHERE organization_id = $1 FOR UPDATE
