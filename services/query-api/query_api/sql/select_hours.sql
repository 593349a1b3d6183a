-- What became of the records that each partition took, hour by hour from $2 on.
SELECT topic, partition, hour_at, counted + duplicate + rejected + held AS applied, counted, duplicate, rejected, held
FROM partition_hours WHERE topic = $1 AND hour_at >= $2 ORDER BY partition, hour_at
