-- The alerter's claims find the organizations that wait by an index, so that a claim costs no more where one of them has a million rows.
-- upgrade: while the indexes are made, seconds per million waiting rows, nothing is put into these queues. An older alerter goes on claiming.

CREATE INDEX email_outbox_waiting ON email_outbox (organization_id, due_at NULLS FIRST, email_id) WHERE state = 'pending';
CREATE INDEX alert_deliveries_waiting ON alert_deliveries (organization_id, channel_id, delivery_id NULLS FIRST, due_at) WHERE state = 'pending';
CREATE INDEX alert_notices_waiting ON alert_notices (organization_id, notice_id NULLS FIRST) WHERE published_at IS NULL;
CREATE INDEX alert_wakeups_waiting ON alert_wakeups (organization_id, wakeup_id NULLS FIRST);
CREATE INDEX mail_requests_waiting ON mail_requests (organization_id, request_id NULLS FIRST);
-- NULLS FIRST, though there are none: only these indexes give the claims' order then, so the planner never walks through everybody's rows.
DROP INDEX email_outbox_due, alert_notices_unpublished;
