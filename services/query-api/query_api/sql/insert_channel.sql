-- A channel more; its address and secret can be written here and read by the alerter alone.
INSERT INTO alert_channels (organization_id, kind, name, shown_url, url, signing_secret, created_by, content_type)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING channel_id
