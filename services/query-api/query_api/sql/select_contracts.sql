-- The organization's contracts and their terms, the earliest first.
SELECT contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price, currency,
    account_team_name, account_team_email, account_team_url
FROM contracts WHERE organization_id = $1 ORDER BY starts_on, contract_id
