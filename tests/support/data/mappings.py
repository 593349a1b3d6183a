"""Mappings and events of foreign clients for tests."""

import json
from datetime import UTC, datetime
from typing import Any

from flexcredits_schemas.mapping.apply import Mapping, compile_mapping
from flexcredits_schemas.mapping.document import decode_document
from flexcredits_schemas.mapping.foreign import Foreign, decode_json

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def usage_sources(**sources: Any) -> dict[str, Any]:
    """Sources of a usage of one credit; a field given as None is left out."""
    fields = {
        "product": {"value": "assistant"},
        "feature_kind": {"value": "model"},
        "feature": {"at": "/data/model"},
    }
    if not {"quantity", "quantities"} & set(sources):
        fields["credits"] = {"value": "1"}
    return {name: source for name, source in {**fields, **sources}.items() if source is not None}


def rule(name: str = "model calls", protocol: str = "openmeter", **members: Any) -> dict[str, Any]:
    if not members.get("ignore"):
        members.setdefault("usage", usage_sources())
    return {"name": name, "protocol": protocol, **members}


def document(*rules: dict[str, Any], organization: str | None = "org_acme") -> dict[str, Any]:
    named = {"organization": organization} if organization else {}
    return {"type": "flexcredits.mapping.v1", **named, "rules": list(rules) or [rule()]}


def mapping(*rules: dict[str, Any]) -> Mapping:
    return compile_mapping(decode_document(json.dumps(document(*rules)).encode()))


def foreign(event: Any, event_id: str = "e-1", time: datetime = NOW) -> Foreign:
    """The event as an adapter reads it from JSON; `event` may be the JSON itself."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Foreign(decode_json(raw), event_id, "openmeter:test", time, raw)
