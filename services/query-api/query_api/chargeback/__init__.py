"""Credits and money of a credit period by who used them."""
