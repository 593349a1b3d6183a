-- name: select_contracts
-- The organization's contracts, earliest first: terms, all versions of their prices, and the time zone.
SELECT contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price, currency,
    account_team_name, account_team_email, account_team_url, price_versions, time_zone
FROM contracts JOIN organizations USING (organization_id) WHERE organization_id = $1 ORDER BY starts_on, contract_id

-- name: select_credit_periods
-- The organization's credit periods with contracted micro-credits and the sum of included add-ons, earliest first.
SELECT p.contract_id, p.credit_period_id, p.starts_on, p.ends_on, p.total, p.assistant, p.agents, p.api,
    (SELECT sum(a.credits) FROM add_ons a
     WHERE (a.organization_id, a.contract_id, a.credit_period_id) = (p.organization_id, p.contract_id, p.credit_period_id)
         AND a.included) AS add_ons
FROM credit_periods p WHERE p.organization_id = $1 ORDER BY p.starts_on, p.contract_id

-- name: select_add_ons
-- The add-ons of all credit periods of the organization, in the order of their contracts.
SELECT contract_id, credit_period_id, name, credits, included
FROM add_ons WHERE organization_id = $1 ORDER BY contract_id, credit_period_id, position

-- name: select_days
-- The first and last day of the organization's usage.
SELECT min(day) AS first, max(day) AS last FROM usage_organization_daily WHERE organization_id = $1

-- name: sum_days
-- Micro-credits of each day with usage, of all products.
SELECT day, sum(credits)::bigint AS credits FROM usage_organization_daily
WHERE organization_id = $1 AND day BETWEEN $2 AND $3 GROUP BY day

-- name: sum_products
-- Micro-credits by product in ranges of days, numbered from 1.
-- Whole months [$4, $5] come from the monthly rows; days before [$2, $3] and after [$6, $7] from the daily rows.
-- Each may be null.
SELECT stretch.number, used.product, used.credits
FROM unnest($2::date[], $3::date[], $4::date[], $5::date[], $6::date[], $7::date[]) WITH ORDINALITY
    AS stretch(before_first, before_last, first_month, last_month, after_first, after_last, number), LATERAL (
    SELECT product, sum(credits)::bigint AS credits
    FROM (
        SELECT product, credits FROM usage_organization_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.before_first AND stretch.before_last
        UNION ALL
        SELECT product, credits FROM usage_organization_monthly
        WHERE organization_id = $1 AND month BETWEEN stretch.first_month AND stretch.last_month
        UNION ALL
        SELECT product, credits FROM usage_organization_daily
        WHERE organization_id = $1 AND day BETWEEN stretch.after_first AND stretch.after_last
    ) AS grains
    GROUP BY product
) AS used

-- name: sum_periods
-- Micro-credits by product in all credit periods of the organization.
SELECT p.contract_id, p.credit_period_id, u.product, sum(u.credits)::bigint AS credits
FROM credit_periods p JOIN usage_organization_daily u
    ON u.organization_id = p.organization_id AND u.day >= p.starts_on AND u.day < p.ends_on
WHERE p.organization_id = $1 GROUP BY 1, 2, 3

-- name: sum_adjustments
-- Micro-credits of corrections on the days [$2, $3), and of usage on these days that was received on $3 or later.
SELECT
    (SELECT coalesce(sum(credits), 0)::bigint FROM usage_corrections
     WHERE organization_id = $1 AND day >= $2::date AND day < $3::date) AS corrections,
    (SELECT coalesce(sum(credits), 0)::bigint FROM usage_late
     WHERE organization_id = $1 AND day >= $2::date AND day < $3::date AND received_on >= $3::date) AS late
