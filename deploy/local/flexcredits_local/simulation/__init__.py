"""Made-up usage of made-up companies: everything follows from a seed, a company and a date."""
