"""GET /api/v1/audit."""
