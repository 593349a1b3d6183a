"""A package, so that its stack lives as long as its stories, and no longer."""
