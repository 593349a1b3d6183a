"""Counts every usage event exactly once into the ledger and the rollups."""
