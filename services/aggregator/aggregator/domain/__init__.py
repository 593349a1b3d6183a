"""The decisions of the aggregator. Pure: no clock, no network, no database."""
