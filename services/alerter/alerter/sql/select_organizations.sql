-- The numbers of all organizations.
SELECT organization_id FROM organizations WHERE organization_id > 0 ORDER BY organization_id
