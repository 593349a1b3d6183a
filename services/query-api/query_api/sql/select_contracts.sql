-- The organization's contracts, their terms and all that was said about their prices, the earliest first, and the organization's zone.
SELECT contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price, currency,
    account_team_name, account_team_email, account_team_url, price_versions, time_zone
FROM contracts JOIN organizations USING (organization_id) WHERE organization_id = $1 ORDER BY starts_on, contract_id
