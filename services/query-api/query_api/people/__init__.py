"""Usage by people, groups and labels."""
