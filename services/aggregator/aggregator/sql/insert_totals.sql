-- Totals of these organizations changed.
INSERT INTO totals_outbox (organization_id) SELECT unnest($1::integer[])
