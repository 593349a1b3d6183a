-- Notices that the topic does not have yet, in order; others pass them by until this transaction ends.
SELECT n.notice_id, o.organization, n.body FROM alert_notices n JOIN organizations o USING (organization_id)
WHERE n.published_at IS NULL ORDER BY n.notice_id LIMIT $1 FOR UPDATE OF n SKIP LOCKED
