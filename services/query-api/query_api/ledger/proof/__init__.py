"""GET /api/v1/proof."""
