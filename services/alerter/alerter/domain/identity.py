"""Ids of what the alerter sends: a receiver recognizes a copy by its id. Pure."""

from hashlib import blake2b


def identify(kind: str, *parts: str) -> str:
    """Always the same for the same parts, also if Postgres were restored to an earlier point."""
    digest = blake2b(b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts), digest_size=16)
    return f"{kind}.{digest.hexdigest()}"
