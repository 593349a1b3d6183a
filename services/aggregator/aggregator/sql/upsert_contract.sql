-- A newer version of a contract; nothing comes back when it is not newer. What it says about prices is kept beside what earlier ones said, if it is something else.
-- Beyond 128 KiB (about 900 changes of a price) it replaces what the last one said: every reader reads all of it.
INSERT INTO contracts AS t (organization_id, contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price,
    currency, account_team_name, account_team_email, account_team_url, fact_at, fact_offset, price_versions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, jsonb_build_array($14::jsonb))
ON CONFLICT (organization_id, contract_id) DO UPDATE SET starts_on = excluded.starts_on, ends_on = excluded.ends_on,
    minimum_commitment = excluded.minimum_commitment, overage_price = excluded.overage_price, credit_price = excluded.credit_price,
    currency = excluded.currency, account_team_name = excluded.account_team_name, account_team_email = excluded.account_team_email,
    account_team_url = excluded.account_team_url, fact_at = excluded.fact_at, fact_offset = excluded.fact_offset,
    price_versions = CASE
        WHEN t.price_versions = '[]' THEN jsonb_build_array(
            jsonb_build_object('received_at', t.fact_at, 'currency', t.currency, 'is_list', false, 'steps', jsonb_build_array(
                jsonb_build_object('from', NULL, 'overage', t.overage_price, 'credit', t.credit_price)))) || excluded.price_versions
        WHEN (t.price_versions -> -1) - 'received_at' = (excluded.price_versions -> 0) - 'received_at' THEN t.price_versions
        WHEN octet_length((t.price_versions || excluded.price_versions)::text) > 131072
            THEN (t.price_versions - -1) || excluded.price_versions
        ELSE t.price_versions || excluded.price_versions END
WHERE (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
RETURNING contract_id
