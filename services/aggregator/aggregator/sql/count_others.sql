-- How many organizations there are, these ones included, and how many others are in quarantine at a step.
SELECT (SELECT count(*) FROM (SELECT organization FROM organizations WHERE organization_id > 0 UNION SELECT unnest($2::text[])) AS k) AS known,
    (SELECT count(*) FROM quarantine q JOIN organizations o USING (organization_id)
    WHERE q.component = 'aggregator' AND q.step = $1 AND o.organization <> '' AND o.organization <> ALL ($2::text[])) AS others
