-- A newer organization fact; what it leaves out stays. The zone stays once usage was counted in it: its days are days of that zone.
INSERT INTO organizations AS t (organization, name, time_zone, billing_moderator_enabled, locale, fact_at, fact_offset)
VALUES ($1, $2, $3, coalesce($4::boolean, false), coalesce($5::text, 'en-US'), $6, $7)
ON CONFLICT (organization) DO UPDATE SET name = excluded.name, billing_moderator_enabled = coalesce($4::boolean, t.billing_moderator_enabled),
    locale = coalesce($5::text, t.locale), fact_at = excluded.fact_at, fact_offset = excluded.fact_offset,
    time_zone = CASE WHEN EXISTS (SELECT FROM usage_organization_daily d WHERE d.organization_id = t.organization_id)
                     THEN t.time_zone ELSE excluded.time_zone END
WHERE t.fact_at IS NULL OR (t.fact_at, t.fact_offset) < (excluded.fact_at, excluded.fact_offset)
RETURNING time_zone
