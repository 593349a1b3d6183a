-- Organizations whose fact came at or after this catalog offset.
SELECT organization, organization_id, time_zone FROM organizations WHERE fact_offset >= $1
