"""Access to the tables of the aggregator: statements and the functions that run them."""
