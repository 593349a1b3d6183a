-- An organization failed at step $2: it waits for $4 seconds, doubled with every further failure up to $5. The reason from before shows whether this one is new.
WITH before AS (SELECT reason FROM quarantine WHERE organization_id = $1 AND component = 'alerter' AND step = $2)
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
VALUES ($1, 'alerter', $2, $3, now() + make_interval(secs => $4::float8))
ON CONFLICT (organization_id, component, step) DO UPDATE SET attempts = q.attempts + 1, reason = excluded.reason, failed_last_at = now(),
    retry_at = now() + make_interval(secs => least($5::float8, $4 * 2 ^ least(q.attempts, 20)))
RETURNING (SELECT organization FROM organizations o WHERE o.organization_id = q.organization_id) AS organization,
    (SELECT reason FROM before) IS DISTINCT FROM q.reason AS is_news
