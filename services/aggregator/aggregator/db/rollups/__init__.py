"""Writes the sums over the ledger, and keeps them within their limit."""
