-- The alerter looks at this organization again; 0 is all of them.
INSERT INTO alert_wakeups (organization_id) VALUES ($1)
