"""Runs the services' production code with simulated time, Kafka, Postgres and mail server. One seed decides every step."""
