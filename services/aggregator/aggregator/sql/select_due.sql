-- Organizations for which a step is to be tried again.
SELECT q.organization_id, o.organization, q.step, q.attempts FROM quarantine q JOIN organizations o USING (organization_id)
WHERE q.component = 'aggregator' AND q.step = ANY($1::text[]) AND q.retry_at <= now() ORDER BY q.organization_id, q.step
