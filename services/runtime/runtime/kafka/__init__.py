"""Kafka: clients and topics."""
