-- name: select_exported_series
-- Series of these products, kinds of feature and surfaces (null: all surfaces).
SELECT series_id, product, feature_kind, feature, agent_id, surface FROM usage_series
WHERE organization_id = $1 AND product = ANY($2) AND feature_kind = ANY($3) AND ($4::text[] IS NULL OR surface = ANY($4))

-- name: select_used_series
-- Series with a row in a range of days.
SELECT DISTINCT series_id FROM usage_daily WHERE organization_id = $1 AND day BETWEEN $2 AND $3

-- name: prepare_copy
-- Use ISO 8601 dates regardless of the server's settings, sort a month in memory, and wait for slow clients.
SELECT set_config('datestyle', 'ISO', true), set_config('work_mem', '64MB', true), set_config('idle_in_transaction_session_timeout', $1, true)

-- name: copy_usage
-- Daily usage of these series in a range of days, and the corrections in it. Not sorted.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT used.day, used.series_id, used.credits, coalesce(corrected.credits, 0) AS corrected, used.events
FROM usage_daily AS used
LEFT JOIN usage_corrections AS corrected
    ON (corrected.organization_id, corrected.day, corrected.series_id) = (used.organization_id, used.day, used.series_id)
    AND corrected.organization_id = $1 AND corrected.day BETWEEN $2 AND $3
WHERE used.organization_id = $1 AND used.day BETWEEN $2 AND $3 AND used.series_id = ANY($4::integer[])

-- name: copy_selected_usage
-- As copy_usage, of the selected attributions from day first_on to last_on. Corrections are included in credits.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT d.day, d.series_id, sum(d.credits)::bigint AS credits, 0::bigint AS corrected, sum(d.events)::bigint AS events
FROM usage_attributed_daily AS d
JOIN unnest($5::bigint[], $6::date[], $7::date[]) AS selected(attribution_id, first_on, last_on)
    ON selected.attribution_id = d.attribution_id AND d.day BETWEEN selected.first_on AND selected.last_on
WHERE d.organization_id = $1 AND d.day BETWEEN $2 AND $3 AND d.series_id = ANY($4::integer[])
GROUP BY d.day, d.series_id

-- name: copy_people
-- Usage of a day by who used it, as lines with labels of series.
-- The regular expressions are those of CellPatterns: texts and ids that match get an apostrophe.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT $2::date AS date, who.actor_kind, cell.actor_id, CASE WHEN who.actor_name ~ $3 THEN '''' ELSE '' END || who.actor_name AS actor_name,
    cell.group_id, CASE WHEN who.group_name ~ $3 THEN '''' ELSE '' END || who.group_name AS group_name, who.labels, label.product, label.kind,
    label.category, label.category_now, label.feature, label.feature_name, label.agent_id, label.agent_name, label.agent_status, label.surface,
    who.credits * 0.000001 AS credits, who.events, $7::text AS organization_id, $8::text AS time_zone
FROM unnest($9::integer[], $10::date[], $11::date[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
        $18::text[], $19::text[], $20::text[], $21::text[]) WITH ORDINALITY
    AS label(series_id, first, last, product, kind, category, category_now, feature, feature_name, agent_id, agent_name, agent_status,
        surface, position)
JOIN usage_by_people($1, $2) AS who ON who.series_id = label.series_id AND $2::date BETWEEN label.first AND label.last
CROSS JOIN LATERAL (SELECT ltrim(who.actor_id, '''') AS actor_id, ltrim(who.group_id, '''') AS group_id) AS plain
CROSS JOIN LATERAL (SELECT
    CASE WHEN plain.actor_id ~ $4 OR (plain.actor_id ~ $5 AND plain.actor_id ~ $6) THEN '''' ELSE '' END || who.actor_id AS actor_id,
    CASE WHEN plain.group_id ~ $4 OR (plain.group_id ~ $5 AND plain.group_id ~ $6) THEN '''' ELSE '' END || who.group_id AS group_id) AS cell
WHERE (who.credits <> 0 OR who.events <> 0)
    AND ($22::text IS NULL OR who.actor_id = $22::text) AND ($23::text[] IS NULL OR who.group_id = ANY($23::text[]))
    AND ($24::text IS NULL OR who.labels ->> $24::text = $25::text)
ORDER BY who.actor_kind, who.actor_id COLLATE "C", who.group_id COLLATE "C", who.labels::text COLLATE "C", label.position

-- name: copy_focus_1_2_people
-- Usage of a day as rows of FOCUS 1.2, a row for each actor and group; corrections are in the rows of who used it.
-- The regular expressions are those of CellPatterns.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT 0.000000 AS "BilledCost", $3::text AS "BillingAccountId", $4::text AS "BillingAccountName", 'Organization' AS "BillingAccountType",
    calendar.currency AS "BillingCurrency", calendar.billing_ends_at AS "BillingPeriodEnd",
    calendar.billing_starts_at AS "BillingPeriodStart", 'Usage' AS "ChargeCategory", NULL AS "ChargeClass",
    label.description AS "ChargeDescription", 'Usage-Based' AS "ChargeFrequency", calendar.ends_at AS "ChargePeriodEnd",
    calendar.starts_at AS "ChargePeriodStart", worth.quantity AS "ConsumedQuantity", 'Credits' AS "ConsumedUnit",
    worth.cost AS "ContractedCost", worth.unit_price AS "ContractedUnitPrice", worth.cost AS "EffectiveCost",
    NULL AS "InvoiceId", $5::text AS "InvoiceIssuerName", worth.cost AS "ListCost", worth.unit_price AS "ListUnitPrice",
    'Standard' AS "PricingCategory", 'FlexCredits' AS "PricingCurrency", 1.000000 AS "PricingCurrencyContractedUnitPrice",
    worth.quantity AS "PricingCurrencyEffectiveCost", 1.000000 AS "PricingCurrencyListUnitPrice", worth.quantity AS "PricingQuantity",
    'Credits' AS "PricingUnit", $5::text AS "ProviderName", $5::text AS "PublisherName", label.resource AS "ResourceId",
    label.resource_name AS "ResourceName", label.resource_type AS "ResourceType", 'AI and Machine Learning' AS "ServiceCategory",
    label.service AS "ServiceName", 'Generative AI' AS "ServiceSubcategory", label.sku AS "SkuId", label.meter AS "SkuMeter",
    NULL AS "SkuPriceDetails", label.sku AS "SkuPriceId", NULL AS "SubAccountId", NULL AS "SubAccountName", NULL AS "SubAccountType",
    NULL AS "Tags", label.agent AS "x_AgentId", label.category AS "x_Category", calendar.contract AS "x_ContractId",
    calendar.credit_period AS "x_CreditPeriodId",
    who.events AS "x_Events", label.feature AS "x_Feature", label.kind AS "x_FeatureKind", NULL AS "x_OverageCredits",
    CASE WHEN calendar.credit_price IS NULL THEN 'true' ELSE 'false' END AS "x_PriceUnknown", label.product AS "x_ProductType",
    label.row_kind AS "x_RowKind", label.surface AS "x_Surface", $6::text AS "x_TimeZone",
    CASE WHEN who.plain_actor ~ $34 OR (who.plain_actor ~ $35 AND who.plain_actor ~ $36) THEN '''' ELSE '' END || who.actor_id AS "x_Actor",
    CASE WHEN who.plain_group ~ $34 OR (who.plain_group ~ $35 AND who.plain_group ~ $36) THEN '''' ELSE '' END || who.group_id AS "x_Group",
    who.actor_kind AS "x_ActorKind"
FROM unnest($7::integer[], $8::date[], $9::date[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[]) WITH ORDINALITY
    AS label(series_id, first, last, description, service, sku, meter, resource, resource_name, resource_type, agent, category, feature,
        kind, product, row_kind, surface, position)
JOIN (
    SELECT series_id, actor_kind, actor_id, ltrim(actor_id, '''') AS plain_actor, group_id, ltrim(group_id, '''') AS plain_group,
        sum(credits)::bigint AS credits, sum(events)::bigint AS events
    FROM usage_by_people($1, $2)
    WHERE ($37::text IS NULL OR actor_id = $37::text) AND ($38::text[] IS NULL OR group_id = ANY($38::text[]))
        AND ($39::text IS NULL OR labels ->> $39::text = $40::text)
    GROUP BY series_id, actor_kind, actor_id, group_id) AS who
    ON who.series_id = label.series_id AND $2::date BETWEEN label.first AND label.last
JOIN unnest($24::date[], $25::text[], $26::text[], $27::text[], $28::text[], $29::bigint[], $30::bigint[], $31::text[], $32::text[], $33::text[])
    AS calendar(day, starts_at, ends_at, billing_starts_at, billing_ends_at, credit_price, overage_price, currency, contract, credit_period)
    ON calendar.day = $2::date
CROSS JOIN LATERAL (SELECT who.credits * 0.000001 AS quantity, calendar.credit_price * 0.000001 AS unit_price,
    who.credits::numeric * coalesce(calendar.credit_price, 0) * 0.000000000001 AS exact_cost) AS exact
CROSS JOIN LATERAL (SELECT exact.quantity, exact.unit_price, round(exact_cost, greatest(6, min_scale(exact_cost))) AS cost) AS worth
WHERE who.credits <> 0 OR who.events <> 0
ORDER BY label.position, who.actor_id COLLATE "C", who.actor_kind, who.group_id COLLATE "C"
