-- A name by which other transactions see what this one sees.
SELECT pg_export_snapshot()
