-- An agent's name is that of the latest usage which gave one: usage without it does not erase it.
ALTER TABLE agent_sightings ADD COLUMN named_at timestamptz;
UPDATE agent_sightings SET named_at = seen_at WHERE name <> '';
COMMENT ON TABLE agent_sightings IS 'Writer: aggregator. Kind in the latest usage event, and name in the latest that gave one, at named_at; both times are kept to a quarter of an hour. name is empty while none gave one.';
