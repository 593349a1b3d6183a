"""Plumbing that every service needs and none is about: logs, probes, Postgres, Kafka."""
