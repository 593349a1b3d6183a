"""GET /api/v1/me/usage."""
