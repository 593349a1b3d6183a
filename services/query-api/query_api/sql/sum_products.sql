-- Micro-credits by product in two spans of days at once, the credit period's and the contract's.
SELECT product, coalesce(sum(credits) FILTER (WHERE day >= $2 AND day < $3), 0)::bigint AS in_period,
    coalesce(sum(credits) FILTER (WHERE day >= $4 AND day < $5), 0)::bigint AS in_contract
FROM usage_organization_daily
WHERE organization_id = $1 AND day >= least($2::date, $4::date) AND day < greatest($3::date, $5::date)
GROUP BY product
