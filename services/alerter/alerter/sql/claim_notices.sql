-- Notices of these organizations (null: of all) that the topic does not have yet, in order; others pass them by until this transaction ends. Whom this step has set aside waits.
SELECT n.notice_id, n.organization_id, o.organization, n.body FROM alert_notices n JOIN organizations o USING (organization_id)
WHERE n.published_at IS NULL AND ($2::integer[] IS NULL OR n.organization_id = ANY($2)) AND NOT EXISTS (SELECT FROM quarantine q
    WHERE q.organization_id = n.organization_id AND q.component = 'alerter' AND q.step = 'publish' AND q.retry_at > now())
ORDER BY n.notice_id LIMIT $1 FOR UPDATE OF n SKIP LOCKED
