-- The latest change of a time zone by hand.
SELECT coalesce(max(rebuild_id), 0) FROM rebuilds WHERE time_zone IS NOT NULL
