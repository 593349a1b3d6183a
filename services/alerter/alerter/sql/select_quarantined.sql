-- Whom the alerter has set aside, and why.
SELECT q.organization_id, o.organization, q.step, q.reason FROM quarantine q JOIN organizations o USING (organization_id) WHERE q.component = 'alerter'
