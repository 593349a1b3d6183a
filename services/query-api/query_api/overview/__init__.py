"""GET /api/v1/overview: usage and available credits now."""
