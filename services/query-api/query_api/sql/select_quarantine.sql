-- What fails for the organization alone, and when it is tried again.
SELECT component, step, failed_first_at AS since, CASE WHEN isfinite(retry_at) THEN retry_at END AS retry_at
FROM quarantine WHERE organization_id = $1 ORDER BY component, step
