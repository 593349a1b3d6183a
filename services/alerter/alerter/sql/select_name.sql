-- Who an organization is.
SELECT organization, coalesce(name, organization) AS name FROM organizations WHERE organization_id = $1
