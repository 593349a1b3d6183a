"""Thresholds, the monthly budget, recipients, and their preview."""
