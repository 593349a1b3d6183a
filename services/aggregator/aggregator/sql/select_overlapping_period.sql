-- A credit period of another contract that would share days with one of these.
SELECT p.contract_id, p.credit_period_id FROM credit_periods p
JOIN unnest($3::date[], $4::date[]) AS d(starts_on, ends_on) ON p.starts_on < d.ends_on AND d.starts_on < p.ends_on
WHERE p.organization_id = $1 AND p.contract_id <> $2 LIMIT 1
