-- How far the totals reach: complete_to is unknown as long as one partition's is.
SELECT count(*) AS partitions, max(updated_at) AS updated_at,
    CASE WHEN bool_and(caught_up_at IS NOT NULL) THEN min(caught_up_at) END AS complete_to
FROM partition_progress WHERE topic = $1
