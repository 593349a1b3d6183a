-- Where alerts go beside mail, oldest first.
SELECT channel_id, kind, name, shown_url, created_at, created_by, stopped_at, stopped_because, content_type FROM alert_channels
WHERE organization_id = $1 AND removed_at IS NULL ORDER BY channel_id
