-- Kafka has confirmed these notices.
UPDATE alert_notices SET published_at = now() WHERE notice_id = ANY($1::bigint[])
