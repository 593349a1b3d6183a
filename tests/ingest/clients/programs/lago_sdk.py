"""Lago's Python SDK: a single event, the same again, a batch, one without a timestamp, and one that cannot be placed."""

import os
import time

from lago_python_client import Client
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent, Event

name, now = os.environ["ID"], int(time.time())


def event(event_id: str, **members: object) -> Event:
    fields = {"timestamp": now, "properties": {"model": "gpt-6", "input_tokens": 1000}} | members
    return Event(transaction_id=name + event_id, external_subscription_id="sub_ada", code="tokens", **fields)


client = Client(api_key=os.environ["KEY"], api_url=os.environ["URL"] + "/lago/")
single, untimed = event("single"), event("untimed", timestamp=None)
for sent in (single, single, untimed, untimed):
    answer = client.events.create(sent)
    assert (answer.transaction_id, answer.code) == (sent.transaction_id, "tokens"), answer
half = {"model": "gpt-6", "input_tokens": "500"}
client.events.batch_create(BatchEvent(events=[event("first"), event("second", properties=half), single]))
for send in (client.events.create, lambda wrong: client.events.batch_create(BatchEvent(events=[single, wrong]))):
    refused = None
    try:
        send(event("wrong", properties={"model": "gpt-6", "input_tokens": -1}))
    except LagoApiError as error:
        refused = error
    assert refused is not None, "an event with a negative quantity was taken"
    assert refused.status_code == 422, refused
    assert "properties/input_tokens" in str(refused.response["error_details"]), refused.response
