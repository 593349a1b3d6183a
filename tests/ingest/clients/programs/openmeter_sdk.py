"""OpenMeter's Python SDK: a single event, the same again, a batch, one without a time, and one that cannot be placed."""

import os
from datetime import UTC, datetime

from corehttp.exceptions import HttpResponseError
from openmeter import Client
from openmeter.models import Event

name = os.environ["ID"]


def event(event_id: str, tokens: int = 1000, **attributes: object) -> Event:
    fields = {"time": datetime.now(UTC), "data": {"model": "gpt-6", "input_tokens": tokens}} | attributes
    return Event(
        id=name + event_id, source="python", specversion="1.0", type="prompt", subject="ada",
        **{key: value for key, value in fields.items() if value is not None},
    )  # fmt: skip


with Client(endpoint=os.environ["URL"] + "/openmeter", token=os.environ["KEY"]) as client:
    single, untimed = event("single"), event("untimed", time=None)
    for sent in (single, single, untimed, untimed):
        client.events.ingest_event(sent)
    client.events.ingest_events([event("first"), event("second", 500), single])
    refused = None
    try:
        client.events.ingest_event(event("wrong", data={"model": "gpt-6"}))
    except HttpResponseError as error:
        refused = error
    assert refused is not None, "an event without tokens was taken"
    assert refused.status_code == 400, refused
    assert "rule `tokens of a model call`" in refused.response.text(), refused.response.text()
