-- Notices that the topic does not have yet, in order: about $1, in equal parts of organizations behind number $2, to number $3 at most. Nobody else publishes an organization's notices until this transaction ends, so none overtakes an earlier one. Whom this step has set aside waits.
WITH RECURSIVE walk (organization_id, is_mine, claimed) AS (
    SELECT $2::integer, false, 0
    UNION ALL
    SELECT next.organization_id, next.is_mine, walk.claimed + next.is_mine::integer
    FROM walk CROSS JOIN LATERAL (
        SELECT n.organization_id, NOT EXISTS (SELECT FROM quarantine q
                WHERE q.organization_id = n.organization_id AND q.component = 'alerter' AND q.step = 'publish' AND q.retry_at > now())
            AND pg_try_advisory_xact_lock(hashtext('flexcredits.publish'), n.organization_id) AS is_mine
        FROM alert_notices n WHERE n.published_at IS NULL AND n.organization_id > walk.organization_id AND n.organization_id <= $3
        ORDER BY n.organization_id, n.notice_id NULLS FIRST LIMIT 1) AS next
    WHERE walk.claimed < $1
), turns AS MATERIALIZED (SELECT organization_id FROM walk WHERE is_mine)
SELECT n.notice_id, n.organization_id, (SELECT o.organization FROM organizations o WHERE o.organization_id = n.organization_id) AS organization, n.body
FROM turns CROSS JOIN LATERAL (
    SELECT notice_id, organization_id, body FROM alert_notices WHERE organization_id = turns.organization_id AND published_at IS NULL
    ORDER BY notice_id NULLS FIRST LIMIT (SELECT ceil($1::float8 / count(*)) FROM turns) FOR UPDATE SKIP LOCKED) AS n
ORDER BY n.notice_id
