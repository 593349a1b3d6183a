-- A step succeeded for these organizations.
DELETE FROM quarantine WHERE component = 'aggregator' AND step = $1 AND organization_id = ANY($2::integer[])
