"""Freshness: how current the totals are."""
