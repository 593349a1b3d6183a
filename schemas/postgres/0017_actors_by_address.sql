-- upgrade: nothing to stop; aggregators that meet a new person wait until the index is built, and then go on.
-- Finds the usage of a person by an address that is the actor's id, without case.
CREATE INDEX usage_attributions_by_address ON usage_attributions (organization_id, lower(actor_id)) WHERE actor_id LIKE '%@%';
