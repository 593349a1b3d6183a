-- Ends the organization's quarantine unless records are left; returns whether it has ended.
DELETE FROM quarantine WHERE organization_id = $1 AND component = 'aggregator' AND step = $2
    AND NOT EXISTS (SELECT FROM quarantined_records WHERE organization_id = $1 AND topic = $3)
RETURNING organization_id
