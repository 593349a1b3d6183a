"""Generated usage of generated companies. The same seed, company and date give the same events."""
