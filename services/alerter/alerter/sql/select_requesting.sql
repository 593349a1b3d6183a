-- Organizations for which somebody asked for something, those behind number $1 first. Whom this step has set aside waits.
WITH RECURSIVE walk (organization_id) AS (
    SELECT 0
    UNION ALL
    SELECT next.organization_id FROM walk CROSS JOIN LATERAL (
        SELECT organization_id FROM mail_requests WHERE organization_id > walk.organization_id
        ORDER BY organization_id, request_id NULLS FIRST LIMIT 1) AS next
)
SELECT w.organization_id FROM walk w
WHERE w.organization_id > 0 AND NOT EXISTS (SELECT FROM quarantine q
    WHERE q.organization_id = w.organization_id AND q.component = 'alerter' AND q.step = 'request' AND q.retry_at > now())
ORDER BY w.organization_id <= $1, w.organization_id
