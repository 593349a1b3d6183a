"""Contracts, credit periods, and how usage adds up to them."""
