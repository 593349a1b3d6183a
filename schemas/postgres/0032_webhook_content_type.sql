-- What a webhook's body is called. Most receivers parse application/json alone: express.json, n8n and many frameworks see no body in application/cloudevents+json.

ALTER TABLE alert_channels ADD COLUMN content_type text NOT NULL DEFAULT 'application/json'
    CHECK (content_type = 'application/json' OR (content_type = 'application/cloudevents+json' AND kind = 'webhook'));
COMMENT ON COLUMN alert_channels.content_type IS 'Content-Type of what is sent. The body is the same CloudEvent in either case.';
GRANT SELECT (content_type), INSERT (content_type) ON alert_channels TO flexcredits_api;
