-- A threshold is met. A second open firing of it is refused by a unique index.
INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used, available,
    told, facts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING firing_id
