"""The local stack behind ./flexcredits: embedded Kafka and PostgreSQL, a supervisor, and the commands."""
