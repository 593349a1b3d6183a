"""Events and Kafka records for tests: realistic defaults; keywords override any field."""

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flexcredits_schemas.codec import decode, encode

_ids = itertools.count(1)


def uuid7(instant: datetime | None = None) -> str:
    """A UUIDv7 (RFC 9562) of `instant`, now by default, that no other call returns."""
    milliseconds = int((instant.timestamp() if instant else time.time()) * 1000)
    return str(UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | next(_ids)))


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def event(type_: str, data: dict[str, Any], **envelope: Any) -> dict[str, Any]:
    """A CloudEvent; an envelope field given as None is left out."""
    fields = {
        "specversion": "1.0", "id": uuid7(), "source": "/products/test", "type": type_, "subject": "org_acme",
        "time": rfc3339(datetime.now(UTC)), "data": data,
    }  # fmt: skip
    return {name: value for name, value in {**fields, **envelope}.items() if value is not None}


def usage(*, envelope: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    """A usage event of one credit; a data field given as None is left out."""
    fields: dict[str, Any] = {
        "product": "assistant",
        "feature_kind": "tool",
        "feature": "jira_search",
        "surface": "web",
    }
    if "quantity" not in data:
        fields["credits"] = "1.000000"
    fields |= data
    if fields["product"] == "agents" and "agent" not in data:
        fields["agent"] = {"id": "agt_42", "name": "Quarterly report", "kind": "saved"}
    kept = {name: value for name, value in fields.items() if value is not None}
    return event("flexcredits.usage.v1", kept, **(envelope or {}))


def correction(original: dict[str, Any], credits: str, **envelope: Any) -> dict[str, Any]:
    """A correction of `original` by `credits`."""
    dimensions = {
        name: value
        for name, value in original["data"].items()
        if name in ("product", "feature_kind", "feature", "surface", "agent")
    }
    data = {**dimensions, "credits": credits, "reason": "billed by mistake"}
    data["corrects"] = {"source": original["source"], "id": original["id"]}
    return event("flexcredits.usage.correction.v1", data, **{"subject": original["subject"], **envelope})


def organization(name: str = "org_acme", time_zone: str = "UTC", **envelope: Any) -> dict[str, Any]:
    return event("flexcredits.organization.v1", {"name": "Acme", "time_zone": time_zone}, subject=name, **envelope)


def contract(name: str = "org_acme", total: str = "1000000", **period: Any) -> dict[str, Any]:
    """A contract of this year and the next with one credit period."""
    year = datetime.now(UTC).year
    dates = {"from": f"{year - 1}-12-01", "to": f"{year + 1}-12-01"}
    data = {"contract_id": "c1", **dates, "credit_periods": [{"id": "p1", **dates, "total": total, **period}]}
    return event("flexcredits.contract.v1", data, subject=name)


def rate(credits: str = "1", per: str = "1000", **data: Any) -> dict[str, Any]:
    fields = {
        "product": "assistant",
        "feature_kind": "model",
        "feature": "*",
        "unit": "tokens",
        "credits": credits,
        "per": per,
    }
    subject = data.pop("subject", None)
    return event("flexcredits.rate.v1", {**fields, **data}, subject=subject)


def as_written(event: dict[str, Any]) -> bytes:
    """The bytes that ingest writes to Kafka for a valid event."""
    return encode(decode(json.dumps(event).encode()))


@dataclass
class FakeRecord:
    """A Kafka record as aiokafka delivers it."""

    value: bytes | None
    offset: int
    partition: int = 0
    topic: str = "usage.events.v1"
    timestamp: int = 0
    key: bytes | None = b"org_acme|assistant|jira_search"
    headers: Sequence[tuple[str, bytes | None]] = ()

    def __post_init__(self) -> None:
        self.timestamp = self.timestamp or int(time.time() * 1000)


def records(events: Sequence[dict[str, Any] | bytes | None], *, first: int = 0, partition: int = 0) -> list[FakeRecord]:
    """Records with consecutive offsets from `first`; bytes are used unchanged."""
    return [
        FakeRecord(json.dumps(item).encode() if isinstance(item, dict) else item, first + position, partition)
        for position, item in enumerate(events)
    ]
