-- The banners of these organizations (null: of all).
SELECT organization_id, contract_id, period_id, threshold, episode, fired_at FROM banners
WHERE $1::integer[] IS NULL OR organization_id = ANY($1)
