-- The organization's quarantine, which nobody joins or ends until the transaction does; no row when another process was faster.
SELECT attempts FROM quarantine
WHERE organization_id = $1 AND component = 'aggregator' AND step = $2 AND retry_at <= now() FOR UPDATE
