-- Take up to $1 organizations and steps whose time to be retried has come; nobody else takes them for $2 seconds. Requests and notices wait in their own tables.
UPDATE quarantine SET retry_at = now() + make_interval(secs => $2) WHERE (organization_id, component, step) IN (
    SELECT organization_id, component, step FROM quarantine
    WHERE component = 'alerter' AND step IN ('evaluate', 'wakeup', 'mail', 'channel') AND retry_at <= now()
    ORDER BY retry_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING organization_id, step
