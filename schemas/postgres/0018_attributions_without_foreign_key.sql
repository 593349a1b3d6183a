-- Postgres checked the organization of each new attribution, which took a third of the time of its insert. The aggregator reads the
-- number from organizations itself, no organization is ever deleted, and the rollups have no foreign key either.

ALTER TABLE usage_attributions DROP CONSTRAINT usage_attributions_organization_id_fkey;
