"""GET /api/v1/trend."""
