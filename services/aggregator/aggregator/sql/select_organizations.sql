-- Numbers and zones of these organizations.
SELECT organization, organization_id, time_zone FROM organizations WHERE organization = ANY($1::text[])
