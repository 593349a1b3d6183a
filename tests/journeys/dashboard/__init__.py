"""A package, so that its stack lives exactly as long as its tests."""
