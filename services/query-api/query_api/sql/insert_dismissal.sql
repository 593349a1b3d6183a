-- A person does not want to see the banner of a firing any more. Harmless when it is there.
INSERT INTO banner_dismissals (organization_id, subject, firing_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
