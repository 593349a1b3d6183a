-- Organizations that a rebuild has compared.
DELETE FROM quarantine WHERE component = 'rebuild' AND organization_id = ANY($1::integer[])
