"""Rates: credits per quantity of a unit. Pure."""
