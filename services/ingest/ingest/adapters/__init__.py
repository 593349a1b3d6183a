"""The protocols that ingest speaks: how each reads requests and answers them."""
