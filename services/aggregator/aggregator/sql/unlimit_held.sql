-- Somebody asks for it: a portion of what was beyond the limit is tried once more. Returns its last place, or nothing at the end.
WITH portion AS MATERIALIZED (
    SELECT ledger_bucket, identity, series_id, kafka_partition, kafka_offset FROM usage_held
    WHERE organization_id = $1 AND waits_for = 'sum_limit' AND (series_id, kafka_partition, kafka_offset) > ($2, $3, $4)
    ORDER BY series_id, kafka_partition, kafka_offset LIMIT $5 FOR UPDATE
), asked AS (
    UPDATE usage_held h SET waits_for = 'rate' FROM portion p WHERE (h.ledger_bucket, h.identity) = (p.ledger_bucket, p.identity)
)
SELECT series_id, kafka_partition, kafka_offset FROM portion ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1
