"""Who usage belongs to: actors, groups and labels as an organization may see them, and filters by them."""
