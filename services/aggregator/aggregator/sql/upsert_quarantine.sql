-- A step failed for these organizations; it is tried again later and later, at most a quarter of an hour later. The limit of sums
-- does not heal: only an operator asks for it again.
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
SELECT organization_id, 'aggregator', $1, reason, CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + interval '5 s' END
FROM unnest($2::integer[], $3::text[]) AS d(organization_id, reason) ORDER BY organization_id
ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1, failed_last_at = now(),
    retry_at = CASE WHEN $1 = 'sums' THEN 'infinity' ELSE now() + make_interval(secs => least(900, 5 * 2 ^ least(q.attempts, 10))) END
