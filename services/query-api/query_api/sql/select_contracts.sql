-- The organization's contracts, the earliest first.
SELECT contract_id, starts_on, ends_on FROM contracts WHERE organization_id = $1 ORDER BY starts_on, contract_id
