-- Take what the outbox holds; the rows come back if the relay's transaction fails.
DELETE FROM totals_outbox WHERE totals_id IN (SELECT totals_id FROM totals_outbox ORDER BY totals_id LIMIT $1)
RETURNING organization_id, totals_id
