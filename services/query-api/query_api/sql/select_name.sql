-- What the organization calls itself.
SELECT name FROM organizations WHERE organization_id = $1
