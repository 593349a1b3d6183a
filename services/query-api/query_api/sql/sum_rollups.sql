-- The same micro-credits at every grain of the rollups. Quarters of an hour are kept for months only: days before the first whole one ($2, which begins at $3) are taken from the daily rows.
SELECT
    (coalesce((SELECT sum(credits) FROM usage_15m WHERE organization_id = $1 AND bucket_at >= $3::timestamptz), 0)
   + coalesce((SELECT sum(credits) FROM usage_daily WHERE organization_id = $1 AND day < $2::date), 0))::bigint AS quarter_hours,
    coalesce((SELECT sum(credits) FROM usage_daily WHERE organization_id = $1), 0)::bigint AS days,
    coalesce((SELECT sum(credits) FROM usage_monthly WHERE organization_id = $1), 0)::bigint AS months,
    coalesce((SELECT sum(credits) FROM usage_organization_daily WHERE organization_id = $1), 0)::bigint AS organization_days,
    coalesce((SELECT sum(credits) FROM usage_organization_monthly WHERE organization_id = $1), 0)::bigint AS organization_months
