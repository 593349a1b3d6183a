-- What a credit costs by the organization's contracts, in millionths.
SELECT starts_on, ends_on, contract_id, credit_price, overage_price, currency FROM contracts WHERE organization_id = $1
