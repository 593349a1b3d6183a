-- Micro-credits of corrections that count on the days [$2, $3), and of what counts there and was received on $3 or later.
SELECT
    (SELECT coalesce(sum(credits), 0)::bigint FROM usage_corrections
     WHERE organization_id = $1 AND day >= $2::date AND day < $3::date) AS corrections,
    (SELECT coalesce(sum(credits), 0)::bigint FROM usage_late
     WHERE organization_id = $1 AND day >= $2::date AND day < $3::date AND received_on >= $3::date) AS late
