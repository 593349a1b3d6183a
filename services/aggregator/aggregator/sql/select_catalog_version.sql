-- How far facts are applied, and the latest change of a time zone by hand.
SELECT (SELECT next_offset FROM partition_progress WHERE topic = $1) AS next_offset,
    (SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL) AS zone_change
