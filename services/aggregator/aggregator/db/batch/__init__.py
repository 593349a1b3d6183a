"""The transaction that counts a batch: ledger, held usage, rollups, sightings of agents."""
