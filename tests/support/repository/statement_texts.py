"""Recognizes a statement that names a partition."""

import re

_PARTITION = re.compile(r"\b(usage_15m)_\d{6}\b")


def without_partition(text: str) -> str:
    """The text as the service's .sql files have it: with the table instead of its partition."""
    return _PARTITION.sub(r"\1", text)
