-- What the registry says of each agent that was used, and what its latest usage called it.
SELECT agent_id, a.state AS registered, s.kind AS seen, coalesce(a.ever_saved, false) OR coalesce(s.ever_saved, false) AS ever_saved,
    coalesce(a.name, nullif(s.name, ''), agent_id) AS name,
    CASE a.state WHEN 'deleted' THEN a.fact_at END AS deleted_at
FROM (SELECT * FROM agents WHERE organization_id = $1) AS a
FULL JOIN (SELECT * FROM agent_sightings WHERE organization_id = $1) AS s USING (agent_id)
