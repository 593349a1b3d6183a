-- When each partition last took a record, to the end of that hour.
SELECT partition, max(hour_at) + interval '1 hour' AS ended_at FROM partition_hours WHERE topic = $1 GROUP BY 1
