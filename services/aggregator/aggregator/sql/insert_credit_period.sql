-- One credit period with its contracted micro-credits.
INSERT INTO credit_periods (organization_id, contract_id, credit_period_id, starts_on, ends_on, total, assistant, agents, api)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
