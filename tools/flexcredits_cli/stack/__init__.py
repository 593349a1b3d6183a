"""The local stack: which programs, in which order, and how commands find it."""
