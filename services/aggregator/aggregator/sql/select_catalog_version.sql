-- How far facts are applied, and how many changes there were beside their order: of a time zone by hand, and facts applied late.
SELECT (SELECT next_offset FROM partition_progress WHERE topic = $1) AS next_offset,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL)
    + (SELECT coalesce(max(reload_id), 0) FROM catalog_reloads) AS changes
