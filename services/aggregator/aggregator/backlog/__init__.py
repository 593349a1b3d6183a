"""Work that waits beside the batches: held usage, and organizations in quarantine."""
