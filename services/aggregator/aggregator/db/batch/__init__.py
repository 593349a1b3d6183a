"""The transaction that counts a batch: ledger, held usage, rollups and agent sightings."""
