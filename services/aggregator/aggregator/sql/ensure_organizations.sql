-- Organizations seen in usage before their fact get a number at once.
INSERT INTO organizations (organization) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
