-- The numbers of these organizations.
SELECT organization_id FROM organizations WHERE organization = ANY($1) AND organization_id > 0
