"""GET /api/v1/overview: how the organization stands now."""
