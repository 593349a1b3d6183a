"""Sessions of Postgres, each of one organization."""
