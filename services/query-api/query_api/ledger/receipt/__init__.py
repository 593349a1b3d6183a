"""GET /api/v1/receipt."""
