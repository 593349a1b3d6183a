-- Up to when totals are complete in every partition, how many events are held, and how many offsets held no record.
SELECT CASE WHEN bool_and(caught_up_at IS NOT NULL) THEN extract(epoch FROM min(caught_up_at))::float8 END AS complete_to,
    coalesce(sum(held), 0)::bigint AS held, coalesce(sum(skipped), 0)::bigint AS skipped
FROM partition_progress WHERE topic = $1
