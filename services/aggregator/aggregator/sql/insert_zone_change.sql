-- An organization's days are those of another zone from now on.
INSERT INTO rebuilds (organization_id, time_zone) VALUES ($1, $2)
