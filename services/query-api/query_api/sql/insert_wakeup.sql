-- Have the alerter look at the organization.
INSERT INTO alert_wakeups (organization_id) VALUES ($1)
