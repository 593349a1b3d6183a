-- A newer version of a contract; nothing comes back when it is not newer.
INSERT INTO contracts AS t (organization_id, contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price,
    currency, account_team_name, account_team_email, account_team_url, fact_at, fact_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (organization_id, contract_id) DO UPDATE SET starts_on = excluded.starts_on, ends_on = excluded.ends_on,
    minimum_commitment = excluded.minimum_commitment, overage_price = excluded.overage_price, credit_price = excluded.credit_price,
    currency = excluded.currency, account_team_name = excluded.account_team_name, account_team_email = excluded.account_team_email,
    account_team_url = excluded.account_team_url, fact_at = excluded.fact_at, fact_offset = excluded.fact_offset
WHERE (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
RETURNING contract_id
