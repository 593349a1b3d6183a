-- Whom a customer asks about the contract: part of the contract fact, shown beside overage and in the reconciliation.
ALTER TABLE contracts ADD COLUMN account_team_name text, ADD COLUMN account_team_email text, ADD COLUMN account_team_url text;
COMMENT ON COLUMN contracts.minimum_commitment IS 'Micro-credits over the whole contract period.';
