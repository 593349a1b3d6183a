-- Usage that waits for the organization, its rate or its original.
SELECT count(*) FROM usage_held WHERE organization_id = $1
