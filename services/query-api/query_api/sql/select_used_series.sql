-- The series that have a row within a stretch of days.
SELECT DISTINCT series_id FROM usage_daily WHERE organization_id = $1 AND day BETWEEN $2 AND $3
