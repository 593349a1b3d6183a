"""The aggregator's tables: statements and the functions that send them."""
