-- Usage that corrections name, locked so that two corrections of one event see each other.
SELECT identity, series_id, credits, coalesce(corrected, 0) AS corrected, held, corrects IS NOT NULL AS is_correction
FROM usage_ledger WHERE ledger_bucket = $1 AND identity = ANY($2::uuid[]) ORDER BY identity FOR UPDATE
