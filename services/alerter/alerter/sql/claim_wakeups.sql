-- Take organizations that something changed for, all of them and about $1 of their wake-ups, in equal parts; they come back if this transaction fails. 0 stands for all.
WITH RECURSIVE walk (organization_id) AS (
    SELECT -1
    UNION ALL
    SELECT next.organization_id FROM walk CROSS JOIN LATERAL (
        SELECT organization_id FROM alert_wakeups WHERE organization_id > walk.organization_id
        ORDER BY organization_id, wakeup_id NULLS FIRST LIMIT 1) AS next
), turns AS MATERIALIZED (SELECT organization_id FROM walk WHERE organization_id >= 0)
DELETE FROM alert_wakeups WHERE wakeup_id = ANY (ARRAY(
    SELECT w.wakeup_id FROM turns CROSS JOIN LATERAL (
        SELECT wakeup_id FROM alert_wakeups WHERE organization_id = turns.organization_id
        ORDER BY wakeup_id NULLS FIRST LIMIT (SELECT ceil($1::float8 / count(*)) FROM turns) FOR UPDATE SKIP LOCKED) AS w))
RETURNING organization_id
