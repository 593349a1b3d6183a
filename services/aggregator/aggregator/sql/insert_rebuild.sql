-- Whose rollups were set right, over which days.
INSERT INTO rebuilds (organization_id, first_on, last_on) SELECT unnest($1::integer[]), $2, $3
