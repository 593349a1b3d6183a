-- Organizations, contracts, members, agents, features and rates: written from catalog events, read to count usage.

-- name: lock_catalog
-- Waits for the batches that are rating, and keeps new ones waiting until this transaction ends.
SELECT pg_advisory_xact_lock($1)

-- name: lock_catalog_shared
-- Prevents catalog events from being applied until this transaction ends. Other batches may hold the lock too.
-- The next statements have a timeout of $2 each. A wait for another transaction ends before, so that it is not taken for slow usage.
SELECT set_config('statement_timeout', $2, true), set_config('lock_timeout', (750 * extract(epoch FROM $2::text::interval))::integer::text, true),
    pg_advisory_xact_lock_shared($1)

-- name: select_catalog_version
-- How far catalog events are applied, and the number of changes outside their order.
-- Such changes are time zones changed by an operator, and events applied late.
SELECT (SELECT next_offset FROM partition_progress WHERE topic = $1) AS next_offset,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL)
    + (SELECT coalesce(max(reload_id), 0) FROM catalog_reloads) AS changes

-- name: select_changes
-- The number of changes outside the order of the catalog.
SELECT (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL)
    + (SELECT coalesce(max(reload_id), 0) FROM catalog_reloads) AS changes

-- name: select_changed_organizations
-- Organizations whose catalog event is at or after this catalog offset.
SELECT organization, organization_id, time_zone FROM organizations WHERE event_offset >= $1

-- name: select_changed_rates
-- Rates whose catalog event is at or after this catalog offset, in the order of receipt.
-- Offset 0 selects all of them, because rates of a replaced log have negative offsets.
SELECT r.rate_id, o.organization, r.product, r.feature_kind, r.feature, r.unit, r.credits, r.per,
    coalesce(extract(epoch FROM r.effective_from)::float8, '-infinity') AS effective_from,
    extract(epoch FROM r.received_at)::float8 AS received, r.catalog_offset AS "offset", r.part_of
FROM rates r JOIN organizations o USING (organization_id) WHERE r.catalog_offset >= $1 OR $1 <= 0 ORDER BY r.catalog_offset

-- name: ensure_organizations
-- Creates numbers for organizations that usage names before their catalog event arrives.
INSERT INTO organizations (organization) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: select_organizations
-- Numbers and zones of these organizations.
SELECT organization, organization_id, time_zone FROM organizations WHERE organization = ANY($1::text[])

-- name: ensure_series
-- Creates numbers for new combinations of dimensions, and returns these numbers.
-- ORDER BY makes them ascend in the order of the parameters. A row that is refused uses up a number, of which there are 2^31.
INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)
SELECT organization_id, product, feature_kind, feature, agent_id, surface
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS d(organization_id, product, feature_kind, feature, agent_id, surface, position)
ORDER BY position
ON CONFLICT DO NOTHING
RETURNING organization_id, series_id

-- name: select_series
-- Numbers of these combinations of dimensions, with their positions in the parameters, from 1.
SELECT d.position, s.series_id
FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS d(organization_id, product, feature_kind, feature, agent_id, surface, position)
JOIN usage_series s USING (organization_id, product, feature_kind, feature, agent_id, surface)

-- name: select_series_parts
-- The dimensions of these series.
SELECT series_id, product, feature_kind, feature, agent_id, surface FROM usage_series WHERE series_id = ANY($1::integer[])

-- name: select_series_months
-- How many series organizations have created in a month of receipt.
SELECT organization_id, created FROM series_months WHERE organization_id = ANY($1::integer[]) AND month = $2

-- name: count_series
-- Counts series that were created, and those that are recorded as another one.
INSERT INTO series_months AS t (organization_id, month, created, folded)
SELECT organization_id, month, created, folded FROM unnest($1::integer[], $2::date[], $3::bigint[], $4::bigint[])
    AS d(organization_id, month, created, folded)
ORDER BY organization_id, month
ON CONFLICT (organization_id, month) DO UPDATE SET created = t.created + excluded.created, folded = t.folded + excluded.folded

-- name: ensure_attributions
-- Creates numbers for new combinations of actor, group and labels, and returns them.
-- NOT EXISTS comes first, because a row that is refused uses up a number.
INSERT INTO usage_attributions (organization_id, identity, actor_kind, actor_id, group_id, labels)
SELECT organization_id, identity, actor_kind, actor_id, group_id, labels::jsonb
FROM unnest($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS d(organization_id, identity, actor_kind, actor_id, group_id, labels)
WHERE NOT EXISTS (SELECT FROM usage_attributions a WHERE (a.organization_id, a.identity) = (d.organization_id, d.identity))
ORDER BY organization_id, identity
ON CONFLICT DO NOTHING
RETURNING organization_id, identity, attribution_id

-- name: select_attributions
-- Numbers of these combinations of actor, group and labels.
SELECT a.organization_id, a.identity, a.attribution_id
FROM unnest($1::integer[], $2::uuid[]) AS d(organization_id, identity) JOIN usage_attributions a USING (organization_id, identity)

-- name: select_attribution_parts
-- The parts of these attributions.
SELECT attribution_id, actor_kind, actor_id, group_id, labels::text AS labels FROM usage_attributions WHERE attribution_id = ANY($1::bigint[])

-- name: select_attribution_months
-- How many attributions organizations have created in these months of receipt.
SELECT organization_id, month, created FROM unnest($1::integer[], $2::date[]) AS d(organization_id, month)
JOIN attribution_months USING (organization_id, month)

-- name: count_attributions
-- Counts attributions that were created, and those that are recorded as another one.
INSERT INTO attribution_months AS t (organization_id, month, created, folded)
SELECT organization_id, month, created, folded FROM unnest($1::integer[], $2::date[], $3::bigint[], $4::bigint[])
    AS d(organization_id, month, created, folded)
ORDER BY organization_id, month
ON CONFLICT (organization_id, month) DO UPDATE SET created = t.created + excluded.created, folded = t.folded + excluded.folded

-- name: upsert_organization
-- Writes a newer event about an organization; fields that it omits keep their values.
-- The zone stays once usage was counted in it, because its days are days of that zone.
INSERT INTO organizations AS t (organization, name, time_zone, billing_moderator_enabled, locale, label_keys, people, my_usage,
    event_at, event_offset)
VALUES ($1, $2, $3, coalesce($4::boolean, false), coalesce($5::text, 'en-US'), coalesce($6::text[], '{}'), coalesce($7::text, 'named'),
    coalesce($8::boolean, true), $9, $10)
ON CONFLICT (organization) DO UPDATE SET name = excluded.name, billing_moderator_enabled = coalesce($4::boolean, t.billing_moderator_enabled),
    locale = coalesce($5::text, t.locale), label_keys = coalesce($6::text[], t.label_keys), people = coalesce($7::text, t.people),
    my_usage = coalesce($8::boolean, t.my_usage), event_at = excluded.event_at, event_offset = excluded.event_offset,
    time_zone = CASE WHEN EXISTS (SELECT FROM usage_organization_daily d WHERE d.organization_id = t.organization_id)
                     THEN t.time_zone ELSE excluded.time_zone END
WHERE t.event_at IS NULL OR (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)
RETURNING time_zone

-- name: upsert_contract
-- Writes a newer version of a contract; returns no row if it is not newer.
-- Its prices are added to those of earlier versions if they differ. Beyond 128 KiB (about 900 changes of a price) they
-- replace the last version, because every reader reads all versions.
INSERT INTO contracts AS t (organization_id, contract_id, starts_on, ends_on, minimum_commitment, overage_price, credit_price,
    currency, account_team_name, account_team_email, account_team_url, event_at, event_offset, price_versions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, jsonb_build_array($14::jsonb))
ON CONFLICT (organization_id, contract_id) DO UPDATE SET starts_on = excluded.starts_on, ends_on = excluded.ends_on,
    minimum_commitment = excluded.minimum_commitment, overage_price = excluded.overage_price, credit_price = excluded.credit_price,
    currency = excluded.currency, account_team_name = excluded.account_team_name, account_team_email = excluded.account_team_email,
    account_team_url = excluded.account_team_url, event_at = excluded.event_at, event_offset = excluded.event_offset,
    price_versions = CASE
        WHEN t.price_versions = '[]' THEN jsonb_build_array(
            jsonb_build_object('received_at', t.event_at, 'currency', t.currency, 'is_list', false, 'steps', jsonb_build_array(
                jsonb_build_object('from', NULL, 'overage', t.overage_price, 'credit', t.credit_price)))) || excluded.price_versions
        WHEN (t.price_versions -> -1) - 'received_at' = (excluded.price_versions -> 0) - 'received_at' THEN t.price_versions
        WHEN octet_length((t.price_versions || excluded.price_versions)::text) > 131072
            THEN (t.price_versions - -1) || excluded.price_versions
        ELSE t.price_versions || excluded.price_versions END
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)
RETURNING contract_id

-- name: select_overlapping_period
-- A credit period of another contract that shares days with one of these.
SELECT p.contract_id, p.credit_period_id FROM credit_periods p
JOIN unnest($3::date[], $4::date[]) AS d(starts_on, ends_on) ON p.starts_on < d.ends_on AND d.starts_on < p.ends_on
WHERE p.organization_id = $1 AND p.contract_id <> $2 LIMIT 1

-- name: delete_credit_periods
-- Deletes the credit periods of a contract, because its new version contains all of them.
DELETE FROM credit_periods WHERE organization_id = $1 AND contract_id = $2

-- name: insert_credit_period
-- Inserts one credit period with its contracted micro-credits.
INSERT INTO credit_periods (organization_id, contract_id, credit_period_id, starts_on, ends_on, total, assistant, agents, api)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: insert_add_on
-- Inserts one add-on of a credit period.
INSERT INTO add_ons (organization_id, contract_id, credit_period_id, position, name, credits, included)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: upsert_member
-- Writes a newer event about a person; the name stays if the event has none.
INSERT INTO members AS t (organization_id, email, name, role, removed, event_at, event_offset) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, email) DO UPDATE SET name = coalesce(excluded.name, t.name), role = excluded.role, removed = excluded.removed,
    event_at = excluded.event_at, event_offset = excluded.event_offset
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)

-- name: upsert_actor
-- Writes a newer event about a person or service account; name and address that it omits stay.
-- Erasing deletes both. The erased actor stays erased until a newer event gives a name or an address.
INSERT INTO actors AS t (organization_id, actor_id, display_name, email, removed, erased, event_at, event_offset)
VALUES ($1, $2, CASE WHEN NOT $6 THEN $3::text END, CASE WHEN NOT $6 THEN $4::text END, $5 OR $6, $6, $7, $8)
ON CONFLICT (organization_id, actor_id) DO UPDATE SET
    display_name = CASE WHEN NOT excluded.erased THEN coalesce(excluded.display_name, t.display_name) END,
    email = CASE WHEN NOT excluded.erased THEN coalesce(excluded.email, t.email) END,
    removed = excluded.removed OR (t.erased AND num_nonnulls(excluded.display_name, excluded.email) = 0),
    erased = excluded.erased OR (t.erased AND num_nonnulls(excluded.display_name, excluded.email) = 0),
    event_at = excluded.event_at, event_offset = excluded.event_offset
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)

-- name: upsert_actor_groups
-- Writes a newer event about the groups of an actor from a day on.
INSERT INTO actor_groups AS t (organization_id, actor_id, effective_from, groups, event_at, event_offset)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, actor_id, effective_from) DO UPDATE SET groups = excluded.groups,
    event_at = excluded.event_at, event_offset = excluded.event_offset
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)

-- name: upsert_people_group
-- Writes a newer version of a group.
INSERT INTO people_groups AS t (organization_id, group_id, name, parent_id, owner_emails, event_at, event_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization_id, group_id) DO UPDATE SET name = excluded.name, parent_id = excluded.parent_id,
    owner_emails = excluded.owner_emails, event_at = excluded.event_at, event_offset = excluded.event_offset
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)

-- name: upsert_agent
-- Writes an event about an agent; the newest event wins, in any order of arrival.
-- A deletion without a name keeps the last name.
INSERT INTO agents AS t (organization_id, agent_id, state, name, owner, ever_saved, event_at, event_offset)
VALUES ($1, $2, $3, $4, $5, $3 = 'saved', $6, $7)
ON CONFLICT (organization_id, agent_id) DO UPDATE SET
    ever_saved = t.ever_saved OR excluded.ever_saved,
    state = CASE WHEN (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset) AND t.state <> 'system'
                 THEN excluded.state ELSE t.state END,
    name = CASE WHEN (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)
                THEN coalesce(excluded.name, t.name) ELSE coalesce(t.name, excluded.name) END,
    owner = CASE WHEN (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)
                 THEN coalesce(excluded.owner, t.owner) ELSE coalesce(t.owner, excluded.owner) END,
    event_at = greatest(t.event_at, excluded.event_at),
    event_offset = CASE WHEN (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)
                       THEN excluded.event_offset ELSE t.event_offset END

-- name: upsert_feature
-- Writes a newer event about a feature from a day on; fields that it omits keep their values.
INSERT INTO features AS t (organization_id, product, feature_kind, feature, effective_from, display_name, category, event_at, event_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (organization_id, product, feature_kind, feature, effective_from) DO UPDATE SET
    display_name = coalesce(excluded.display_name, t.display_name), category = coalesce(excluded.category, t.category),
    event_at = excluded.event_at, event_offset = excluded.event_offset
WHERE (t.event_at, t.event_offset) < (excluded.event_at, excluded.event_offset)

-- name: is_in_its_part
-- Whether the unit $6 is part of the unit $5, directly or through others.
-- By the newest rates that may apply together with the rate of $5. Those of an organization never concern a rate of the deployment ($1 = 0).
WITH RECURSIVE wholes AS (
    SELECT $6::text AS unit
    UNION
    SELECT newest.part_of
    FROM wholes CROSS JOIN LATERAL (
        SELECT DISTINCT ON (organization_id, feature) part_of FROM rates
        WHERE organization_id IN ($1::integer, 0) AND product = $2::text AND feature_kind = $3::text AND unit = wholes.unit
            AND ($4::text = '*' OR feature IN ($4, '*'))
        ORDER BY organization_id, feature, catalog_offset DESC) AS newest
    WHERE newest.part_of IS NOT NULL
)
SELECT EXISTS (SELECT FROM wholes WHERE unit = $5::text) AS is_in_its_part

-- name: has_rate
-- Whether this rate event was applied. A copy is ignored, so that a retry can neither postpone the rate nor be refused.
SELECT EXISTS (SELECT FROM rates WHERE organization_id = $1 AND source = $2 AND event_id = $3) AS has_rate

-- name: select_known_rates
-- The rate events, of these of an organization, that were applied.
SELECT source, event_id FROM unnest($2::text[], $3::text[]) AS d(source, event_id) JOIN rates USING (source, event_id) WHERE organization_id = $1

-- name: has_rates
-- Whether the organization has so many rates that were received from $2 to before a month later.
SELECT EXISTS (SELECT FROM rates WHERE organization_id = $1 AND received_at >= $2::timestamptz AND received_at < $2 + interval '1 month'
    OFFSET $3::integer - 1) AS has_rates

-- name: insert_rate
-- Inserts a rate.
INSERT INTO rates (organization_id, product, feature_kind, feature, unit, part_of, credits, per, effective_from, received_at,
    catalog_offset, source, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING

-- name: insert_reload
-- Records that a catalog event was applied late, so that every process reloads its catalog.
INSERT INTO catalog_reloads (organization_id) VALUES ($1)

-- name: insert_wakeups
-- Requests an evaluation of these organizations; 0 is all of them.
INSERT INTO alert_wakeups (organization_id) SELECT unnest($1::integer[])
