-- The alerter is to send a test to a channel.
INSERT INTO mail_requests (organization_id, kind, rule, channel_id) VALUES ($1, 'channel_test', 'usage', $2)
