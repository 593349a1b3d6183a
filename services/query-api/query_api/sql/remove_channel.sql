-- Nothing goes to it any more, and its secrets are forgotten; its history stays.
UPDATE alert_channels SET removed_at = now(), url = '', signing_secret = CASE kind WHEN 'webhook' THEN '' END
WHERE organization_id = $1 AND channel_id = $2 AND removed_at IS NULL
