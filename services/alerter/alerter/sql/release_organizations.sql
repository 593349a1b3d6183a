-- These organizations succeeded at these steps.
DELETE FROM quarantine q USING organizations o
WHERE o.organization_id = q.organization_id AND q.component = 'alerter' AND q.organization_id = ANY($1::integer[]) AND q.step = ANY($2::text[])
RETURNING o.organization, q.step
