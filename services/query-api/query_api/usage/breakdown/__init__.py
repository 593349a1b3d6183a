"""GET /api/v1/breakdown and /api/v1/deleted-agents."""
