-- name: select_watermark
-- Watermark of the totals. complete_to is null while it is unknown for any partition.
SELECT count(*) AS partitions, max(updated_at) AS updated_at,
    CASE WHEN bool_and(greatest(caught_up_at, complete_to) IS NOT NULL) THEN min(greatest(caught_up_at, complete_to)) END AS complete_to
FROM partition_progress LEFT JOIN partition_ends USING (topic, partition) WHERE topic = $1

-- name: count_held
-- Held events: waiting for the organization, a rate, the original event, room in sums, or the end of a quarantine.
SELECT (SELECT count(*) FROM usage_held WHERE organization_id = $1)
    + (SELECT count(*) FROM quarantined_records WHERE organization_id = $1 AND topic = $2)

-- name: select_quarantine
-- Steps that fail for this organization only, and when they are retried.
SELECT component, step, failed_first_at AS since, CASE WHEN isfinite(retry_at) THEN retry_at END AS retry_at
FROM quarantine WHERE organization_id = $1 ORDER BY component, step
