"""Files of the past: their manifests, the same bytes again, and what has changed since."""
