"""CloudEvents for Python 1.x: one event in binary mode, one structured, and a batch of two."""

import json
import os
import urllib.request
from datetime import UTC, datetime

from cloudevents.conversion import to_binary, to_dict, to_structured
from cloudevents.http import CloudEvent


def event(name: str) -> CloudEvent:
    data = {"product": "assistant", "feature_kind": "tool", "feature": "python 1", "credits": "1.25"}
    attributes = {
        "id": os.environ["ID"] + name, "source": "/sdk", "type": "flexcredits.usage.v1",
        "subject": os.environ["ORGANIZATION"], "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json; charset=utf-8",
    }  # fmt: skip
    return CloudEvent(attributes, data)


def send(headers: dict[str, str], body: bytes) -> None:
    headers = {**headers, "Authorization": "Bearer " + os.environ["KEY"]}
    with urllib.request.urlopen(urllib.request.Request(os.environ["URL"] + "/api/v1/events", body, headers)) as answer:
        assert json.load(answer)["rejected"] == []


send(*to_binary(event("binary")))
send(*to_structured(event("structured")))
batch = [to_dict(event("first")), to_dict(event("second"))]  # the SDK has no batch format
send({"Content-Type": "application/cloudevents-batch+json"}, json.dumps(batch).encode())
