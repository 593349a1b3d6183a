-- Organizations that a rebuild had to leave out.
INSERT INTO quarantine AS q (organization_id, component, step, reason, retry_at)
SELECT o.organization_id, 'rebuild', 'rebuild', d.reason, 'infinity'
FROM unnest($1::text[], $2::text[]) AS d(organization, reason) JOIN organizations o USING (organization) ORDER BY 1
ON CONFLICT (organization_id, component, step) DO UPDATE SET reason = excluded.reason, attempts = q.attempts + 1, failed_last_at = now()
