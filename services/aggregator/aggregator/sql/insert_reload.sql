-- A fact was applied after its turn: whoever holds the catalog in memory reads it again.
INSERT INTO catalog_reloads (organization_id) VALUES ($1)
