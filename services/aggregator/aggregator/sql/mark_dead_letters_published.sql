-- The topic has them.
UPDATE dead_letter_outbox SET published_at = now() WHERE dead_letter_id = ANY($1::bigint[])
