"""Generated usage of generated companies: everything follows from a seed, a company and a date."""
