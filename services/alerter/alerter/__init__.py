"""Tells people when their usage meets a threshold: banner flags and mail."""
