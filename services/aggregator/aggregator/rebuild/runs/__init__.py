"""Runs are recounted as a whole."""
