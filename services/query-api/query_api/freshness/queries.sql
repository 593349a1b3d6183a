-- name: select_watermark
-- How far the totals reach: complete_to is unknown as long as one partition's is.
SELECT count(*) AS partitions, max(updated_at) AS updated_at,
    CASE WHEN bool_and(caught_up_at IS NOT NULL) THEN min(caught_up_at) END AS complete_to
FROM partition_progress WHERE topic = $1

-- name: count_held
-- Usage that waits for the organization, its rate or its original, for room in its sums, or for its quarantine.
SELECT (SELECT count(*) FROM usage_held WHERE organization_id = $1)
    + (SELECT count(*) FROM quarantined_records WHERE organization_id = $1 AND topic = $2)

-- name: select_quarantine
-- What fails for the organization alone, and when it is tried again.
SELECT component, step, failed_first_at AS since, CASE WHEN isfinite(retry_at) THEN retry_at END AS retry_at
FROM quarantine WHERE organization_id = $1 ORDER BY component, step
