"""Ids of mails and alert events. A receiver recognizes a copy by its id. Pure."""

from hashlib import blake2b


def identify(kind: str, *parts: str) -> str:
    """The same parts always give the same id, also after Postgres was restored to an earlier point."""
    digest = blake2b(b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts), digest_size=16)
    return f"{kind}.{digest.hexdigest()}"
