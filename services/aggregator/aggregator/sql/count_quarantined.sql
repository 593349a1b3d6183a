-- For how many organizations each component fails.
SELECT component, count(DISTINCT organization_id) AS organizations FROM quarantine GROUP BY component
