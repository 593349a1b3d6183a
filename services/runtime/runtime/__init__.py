"""Infrastructure code that every service needs and that has no product logic: logs, probes, HTTP, Postgres, Kafka."""
