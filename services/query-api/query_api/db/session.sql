-- name: act_for
-- Row-level security shows only this organization until the transaction ends.
SELECT set_config('app.organization', $1, true)

-- name: select_organization
-- Row-level security shows only this organization, which it selects, until the transaction ends.
-- Always one row, also for an unknown organization. OFFSET 0 keeps the tables inside LATERAL, so that none is read before
-- the setting is in force. Removed: this person was removed from it. Isolated: row-level security applies to this role.
-- Position: up to where this server has the write-ahead log, on a replica up to where it shows it.
WITH acting AS MATERIALIZED (SELECT set_config('app.organization', $1, true) AS organization)
SELECT o.organization_id, o.time_zone, coalesce(o.billing_moderator_enabled, false) AS billing_moderator_enabled,
    coalesce(o.removed, false) AS removed, o.name, coalesce(o.locale, 'en-US') AS locale,
    coalesce(o.people, 'named') AS people, coalesce(o.my_usage, true) AS my_usage,
    row_security_active('usage_daily') AS is_isolated,
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint AS position
FROM acting LEFT JOIN LATERAL (
    SELECT o.organization_id, o.time_zone, o.billing_moderator_enabled, o.name, o.locale, o.people, o.my_usage, m.removed
    FROM organizations o LEFT JOIN members m ON m.organization_id = o.organization_id AND m.email = lower($2)
    WHERE o.organization = acting.organization
    OFFSET 0
) AS o ON true
