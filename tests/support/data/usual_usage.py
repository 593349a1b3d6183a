"""Usage as it usually arrives, in the bytes that ingest writes."""

import json
from collections.abc import Sequence
from typing import Any

from flexcredits_schemas.codec import decode, encode
from support.data.factories import FakeRecord, usage, uuid7


def canonical(event: dict[str, Any]) -> bytes:
    return encode(decode(json.dumps(event).encode()))


def records_of(values: Sequence[bytes | dict[str, Any]]) -> list[FakeRecord]:
    """Records of bytes, or of the bytes that ingest writes for an event."""
    return [
        FakeRecord(canonical(value) if isinstance(value, dict) else value, offset)
        for offset, value in enumerate(values)
    ]


USUAL = [
    usage(),
    usage(credits="12.5", surface=None),
    usage(feature="日本語"),
    usage(product="agents"),
    usage(agent={"id": "wf_7", "kind": "unsaved"}),
    usage(product="api", feature_kind="namespace", feature="Search"),
    usage(quantity="5213", unit="tokens"),
    usage(product="agents", quantity="0.5", unit="tokens"),
    usage(envelope={"datacontenttype": "application/json"}),
    usage(envelope={"id": "01K9ZD8V3Q6T0R5N8B2F4H7JKM"}),
    usage(envelope={"id": "req-2026-11-22-000017"}),
    usage(envelope={"id": uuid7().upper()}),
    usage(envelope={"source": "/" + "s" * 127}),
]
