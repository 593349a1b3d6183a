-- name: act_for
-- Row-level security shows only this organization until the transaction ends.
SELECT set_config('app.organization', $1, true)

-- name: select_organization
-- The organization, whether this person was removed from it, and whether row-level security applies to this role.
-- Always one row, also for an unknown organization.
SELECT o.organization_id, o.time_zone, coalesce(o.billing_moderator_enabled, false) AS billing_moderator_enabled,
    coalesce(m.removed, false) AS removed, o.name, coalesce(o.locale, 'en-US') AS locale,
    row_security_active('usage_daily') AS is_isolated
FROM (VALUES ($1)) AS v(organization)
LEFT JOIN organizations o ON o.organization = v.organization
LEFT JOIN members m ON m.organization_id = o.organization_id AND m.email = lower($2)
