"""What query API and alerter agree on about projections. Pure."""
