"""Writes dead letters: what ingest rejects, with the reason."""

from datetime import datetime
from hashlib import sha1
from uuid import UUID

from ingest.domain.acceptance import Rejected
from ingest.kafka.publisher import Message


def dead_letter(
    topic: str, rejected: Rejected, key_id: str, received_at: datetime, bytes_max: int, foreign_path: str
) -> Message:
    """The received bytes with the reason. Its key is derived from them, so that a repeated request gives the same
    key. `foreign_path` is the path of a foreign client's request, where a replay sends the bytes; "" for ours."""
    digest = sha1(f"{rejected.reason} {rejected.pointer} ".encode() + rejected.raw, usedforsecurity=False)
    headers = {
        "reason": rejected.detail,
        "pointer": rejected.pointer,
        "received_at": received_at.isoformat(),
        "dlq.service": "ingest",
        "dlq.class": rejected.reason,
        "dlq.key_id": key_id,
    }
    if foreign_path:
        headers["dlq.path"] = foreign_path
    if rejected.organization:
        headers["organization"] = rejected.organization
    if len(rejected.raw) > bytes_max:
        headers["dlq.truncated_from"] = str(len(rejected.raw))
    return (
        topic,
        f"ingest/{UUID(bytes=digest.digest()[:16], version=5)}".encode(),
        rejected.raw[:bytes_max],
        [(name, value.encode()) for name, value in headers.items()],
    )
