-- Mails that are not sent yet, and the age in seconds of the oldest.
SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s FROM email_outbox WHERE state = 'pending'
