"""Explains the change of usage between two ranges of days, in parts that add up to it."""
