-- How many changes there were beside the order of the catalog.
SELECT (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL)
    + (SELECT coalesce(max(reload_id), 0) FROM catalog_reloads) AS changes
