"""What the aggregator decides. Pure: no clock, no network, no database."""
