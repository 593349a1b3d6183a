-- The new version of a contract brings all its periods.
DELETE FROM credit_periods WHERE organization_id = $1 AND contract_id = $2
