-- Every organization whose zone is known.
SELECT organization, organization_id, time_zone FROM organizations WHERE time_zone IS NOT NULL
