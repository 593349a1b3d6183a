"""Kafka, PostgreSQL, the mailbox and the dashboard without containers."""
