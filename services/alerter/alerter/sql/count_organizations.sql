-- How many organizations are known.
SELECT count(*) FROM organizations WHERE organization_id > 0
