-- name: copy_focus_1_4
-- Daily usage in a range of days as rows of FOCUS 1.4.
-- With corrections as separate rows or, of one day, by actor and group.
-- The regular expressions are those of CellPatterns.
-- asyncpg inserts the values into the text of a COPY statement, so comments here must not contain parameter numbers.
SELECT 0.000000 AS "BilledCost", $4::text AS "BillingAccountId", $5::text AS "BillingAccountName", 'Organization' AS "BillingAccountType",
    calendar.currency AS "BillingCurrency", calendar.billing_ends_at AS "BillingPeriodEnd",
    calendar.billing_starts_at AS "BillingPeriodStart", 'Usage' AS "ChargeCategory", used.class AS "ChargeClass",
    label.description AS "ChargeDescription", 'Usage-Based' AS "ChargeFrequency", calendar.ends_at AS "ChargePeriodEnd",
    calendar.starts_at AS "ChargePeriodStart", worth.quantity AS "ConsumedQuantity", 'Credits' AS "ConsumedUnit",
    calendar.applied_before || worth.quantity || $47::text AS "ContractApplied",
    worth.cost AS "ContractedCost", worth.unit_price AS "ContractedUnitPrice", worth.cost AS "EffectiveCost",
    $6::text AS "HostProviderName", calendar.invoice_line AS "InvoiceDetailId", calendar.invoice AS "InvoiceId",
    $6::text AS "InvoiceIssuerName", worth.cost AS "ListCost", worth.unit_price AS "ListUnitPrice",
    'Standard' AS "PricingCategory", 'FlexCredits' AS "PricingCurrency", 1.000000 AS "PricingCurrencyContractedUnitPrice",
    worth.quantity AS "PricingCurrencyEffectiveCost", 1.000000 AS "PricingCurrencyListUnitPrice", worth.quantity AS "PricingQuantity",
    'Credits' AS "PricingUnit", label.resource AS "ResourceId", label.resource_name AS "ResourceName",
    label.resource_type AS "ResourceType", 'AI and Machine Learning' AS "ServiceCategory", label.service AS "ServiceName",
    $6::text AS "ServiceProviderName", 'Generative AI' AS "ServiceSubcategory", label.sku AS "SkuId", label.meter AS "SkuMeter",
    label.sku_details AS "SkuPriceDetails", label.sku AS "SkuPriceId", NULL AS "SubAccountId", NULL AS "SubAccountName",
    NULL AS "SubAccountType", NULL AS "Tags", cell.actor_id AS "x_ActorId", used.actor_kind AS "x_ActorKind", label.agent AS "x_AgentId",
    label.category AS "x_Category",
    CASE WHEN used.actor_kind = 'user' THEN cell.actor_id ELSE label.agent END AS "x_ConsumerId",
    calendar.contract AS "x_ContractId", calendar.credit_period AS "x_CreditPeriodId", used.events AS "x_Events",
    label.feature AS "x_Feature", label.kind AS "x_FeatureKind", cell.group_id AS "x_GroupId", NULL AS "x_OverageCredits",
    CASE WHEN calendar.credit_price IS NULL THEN 'true' ELSE 'false' END AS "x_PriceUnknown",
    CASE WHEN used.actor_kind = 'service_account' THEN cell.actor_id END AS "x_PrincipalId", label.product AS "x_ProductType",
    label.row_kind AS "x_RowKind", label.surface AS "x_Surface", $7::text AS "x_TimeZone"
FROM unnest($8::integer[], $9::date[], $10::date[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[])
    WITH ORDINALITY
    AS label(series_id, first, last, description, service, sku, meter, resource, resource_name, resource_type, agent, category, feature,
        kind, product, row_kind, surface, sku_details, position)
JOIN (
    SELECT daily.day, daily.series_id, line.number, line.class, NULL AS actor_kind, NULL AS actor_id, NULL AS group_id, line.credits,
        line.events
    FROM usage_daily AS daily
    LEFT JOIN usage_corrections AS corrected
        ON (corrected.organization_id, corrected.day, corrected.series_id) = (daily.organization_id, daily.day, daily.series_id)
        AND corrected.organization_id = $1 AND corrected.day BETWEEN $2 AND $3
    CROSS JOIN LATERAL (VALUES
        (1, NULL, daily.credits - coalesce(corrected.credits, 0), daily.events),
        (2, 'Correction', corrected.credits, 0)) AS line(number, class, credits, events)
    WHERE NOT $39::boolean AND daily.organization_id = $1 AND daily.day BETWEEN $2 AND $3
    UNION ALL
    SELECT $2::date, series_id, 1, NULL, actor_kind, actor_id, group_id, sum(credits)::bigint, sum(events)::bigint
    FROM usage_by_people($1, $2)
    WHERE $39::boolean AND ($43::text IS NULL OR actor_id = $43::text) AND ($44::text[] IS NULL OR group_id = ANY($44::text[]))
        AND ($45::text IS NULL OR labels ->> $45::text = $46::text)
    GROUP BY series_id, actor_kind, actor_id, group_id
) AS used ON used.series_id = label.series_id AND used.day BETWEEN label.first AND label.last
JOIN unnest($26::date[], $27::text[], $28::text[], $29::text[], $30::text[], $31::bigint[], $32::bigint[], $33::text[], $34::text[],
        $35::text[], $36::text[], $37::text[], $38::text[])
    AS calendar(day, starts_at, ends_at, billing_starts_at, billing_ends_at, credit_price, overage_price, currency, contract, credit_period,
        invoice, invoice_line, applied_before)
    ON calendar.day = used.day
CROSS JOIN LATERAL (SELECT
    CASE WHEN ltrim(used.actor_id, '''') ~ $40 OR (ltrim(used.actor_id, '''') ~ $41 AND ltrim(used.actor_id, '''') ~ $42)
        THEN '''' ELSE '' END || nullif(used.actor_id, '') AS actor_id,
    CASE WHEN ltrim(used.group_id, '''') ~ $40 OR (ltrim(used.group_id, '''') ~ $41 AND ltrim(used.group_id, '''') ~ $42)
        THEN '''' ELSE '' END || nullif(used.group_id, '') AS group_id) AS cell
CROSS JOIN LATERAL (SELECT used.credits * 0.000001 AS quantity, calendar.credit_price * 0.000001 AS unit_price,
    used.credits::numeric * coalesce(calendar.credit_price, 0) * 0.000000000001 AS exact_cost) AS exact
CROSS JOIN LATERAL (SELECT exact.quantity, exact.unit_price, round(exact_cost, greatest(6, min_scale(exact_cost))) AS cost) AS worth
WHERE used.credits <> 0 OR used.events <> 0
ORDER BY used.day, label.position, used.number, used.actor_kind, used.actor_id COLLATE "C", used.group_id COLLATE "C"
