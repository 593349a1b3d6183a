-- Organizations whose fact came at or after this catalog offset, or whose zone was changed by hand since.
SELECT organization, organization_id, time_zone FROM organizations
WHERE fact_offset >= $1 OR organization_id IN (SELECT organization_id FROM rebuilds WHERE time_zone IS NOT NULL AND rebuild_id > $2)
