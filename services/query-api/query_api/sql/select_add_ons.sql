-- The add-ons of all credit periods of the organization, in the order of their contracts.
SELECT contract_id, credit_period_id, name, credits, included
FROM add_ons WHERE organization_id = $1 ORDER BY contract_id, credit_period_id, position
