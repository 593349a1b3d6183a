"""CloudEvents for Python 2.x: one event in binary mode, one structured, and a batch of two."""

import json
import os
import urllib.request
from datetime import UTC, datetime

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def event(name: str) -> CloudEvent:
    data = {"product": "assistant", "feature_kind": "tool", "feature": "python 2", "credits": "1.25"}
    attributes = {
        "id": os.environ["ID"] + name, "source": "/sdk", "type": "flexcredits.usage.v1", "specversion": "1.0",
        "subject": os.environ["ORGANIZATION"], "time": datetime.now(UTC), "datacontenttype": "application/json",
    }  # fmt: skip
    return CloudEvent(attributes, data)


def send(headers: dict[str, str], body: bytes) -> None:
    headers = {**headers, "Authorization": "Bearer " + os.environ["KEY"]}
    with urllib.request.urlopen(urllib.request.Request(os.environ["URL"] + "/api/v1/events", body, headers)) as answer:
        assert json.load(answer)["rejected"] == []


for message in (to_binary_event(event("binary")), to_structured_event(event("structured"))):
    send(message.headers, message.body)
batch = b",".join(JSONFormat().write(event(name)) for name in ("first", "second"))  # the SDK has no batch format
send({"Content-Type": "application/cloudevents-batch+json"}, b"[" + batch + b"]")
