-- The organization's one banner.
INSERT INTO banners (organization_id, contract_id, period_id, threshold, episode, fired_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id) DO UPDATE SET contract_id = excluded.contract_id, period_id = excluded.period_id,
    threshold = excluded.threshold, episode = excluded.episode, fired_at = excluded.fired_at
