"""How far the totals reach."""
