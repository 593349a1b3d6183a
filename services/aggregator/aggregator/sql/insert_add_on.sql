-- One bundle of a credit period.
INSERT INTO add_ons (organization_id, contract_id, credit_period_id, position, name, credits, included)
VALUES ($1, $2, $3, $4, $5, $6, $7)
