"""Measures the counting of usage: the aggregator, its limits on this machine, its growth, and Kafka Streams beside it."""
