"""Records on their way to Kafka."""
