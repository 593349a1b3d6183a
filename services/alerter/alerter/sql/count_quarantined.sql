-- How many organizations there are, and how many beside $2 are set aside at step $1.
SELECT (SELECT count(*) FROM organizations WHERE organization_id > 0) AS organizations,
    (SELECT count(*) FROM quarantine WHERE component = 'alerter' AND step = $1 AND NOT organization_id = ANY($2::integer[])) AS others
