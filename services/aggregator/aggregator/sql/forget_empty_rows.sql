-- Rows of these organizations that came to nothing, between two instants and the days around them: sums are the same without them.
WITH quarters AS (
    DELETE FROM usage_15m WHERE organization_id = ANY($1::integer[]) AND bucket_at >= $2 AND bucket_at < $3 AND credits = 0 AND events = 0
), days AS (
    DELETE FROM usage_daily WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
), organization_days AS (
    DELETE FROM usage_organization_daily WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
), months AS (
    DELETE FROM usage_monthly WHERE organization_id = ANY($1::integer[]) AND credits = 0 AND events = 0
), organization_months AS (
    DELETE FROM usage_organization_monthly WHERE organization_id = ANY($1::integer[]) AND credits = 0 AND events = 0
), corrections AS (
    DELETE FROM usage_corrections WHERE organization_id = ANY($1::integer[])
        AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND corrections = 0
)
DELETE FROM usage_late WHERE organization_id = ANY($1::integer[])
    AND day BETWEEN ($2 AT TIME ZONE 'UTC')::date - 1 AND ($3 AT TIME ZONE 'UTC')::date + 1 AND credits = 0 AND events = 0
