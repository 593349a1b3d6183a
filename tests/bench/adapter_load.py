"""Measures the CPU of ingest per event for each protocol beside our own, by turns in one process: `./flexcredits bench adapters`.

Every protocol reports the same model calls, 500 in a request, in the form of its own clients. Bodies are built once; each time
that one is sent, its events have new ids.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count, cycle, islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from flexcredits_schemas.mapping.ready_made import ready_made
from ingest_load import MODELS, read_answer, uuid7
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.data.recorded_bodies import recorded
from support.services.mapped_keys import create_mapped_key

REQUEST_SIZE, CONNECTIONS = 500, 4
DISTINCT_REQUESTS = 20
"""Bodies that are built at most. A run sends them again, with other ids, until it has sent enough."""
BUILT_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""The time inside the ids of the bodies that are built. Each sending has another in its place."""


class Call(NamedTuple):
    """A model call, which each protocol writes in its own form."""

    id: str
    model: str
    user: str
    conversation: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class Sender(NamedTuple):
    """A protocol: `write` gives the body of a request."""

    name: str
    path: str
    content_type: str
    mapping: str
    write: Callable[[list[Call], datetime], bytes]
    status: int


def make_calls(chance: random.Random) -> list[Call]:
    """The calls of one request."""
    calls = []
    for _ in range(REQUEST_SIZE):
        tokens = chance.randrange(200, 20_000)
        calls.append(
            Call(
                id=uuid7(BUILT_AT, chance),
                model=chance.choice(MODELS),
                user=f"usr_{chance.randrange(500)}",
                conversation=f"conv_{chance.randrange(100_000)}",
                input_tokens=tokens,
                cached_tokens=tokens * chance.randrange(90) // 100 + 1,
                output_tokens=chance.randrange(1, 2_000),
            )
        )
    return calls


def rfc3339(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_native(calls: list[Call], now: datetime) -> bytes:
    events = [
        {
            "specversion": "1.0",
            "id": call.id,
            "source": "/products/assistant",
            "type": "flexcredits.usage.v1",
            "subject": "org_acme",
            "time": rfc3339(now),
            "datacontenttype": "application/json",
            "data": {
                "product": "assistant",
                "feature_kind": "model",
                "feature": call.model,
                "actor": {"id": call.user},
                "run": {"id": call.conversation},
                "quantities": {
                    "input_tokens": str(call.input_tokens),
                    "cached_input_tokens": str(call.cached_tokens),
                    "output_tokens": str(call.output_tokens),
                },
            },
        }
        for call in calls
    ]
    return json.dumps(events).encode()


EXTENSIONS = {f"extension{number}": "x" * 33 for number in range(258)}
"""About as many members and bytes as ingest skips in a payload of LiteLLM. CloudEvents allows any."""


def write_long_native(calls: list[Call], now: datetime) -> bytes:
    return json.dumps([event | EXTENSIONS for event in json.loads(write_native(calls, now))]).encode()


def write_openmeter(calls: list[Call], now: datetime) -> bytes:
    events = [
        {
            "specversion": "1.0",
            "id": call.id,
            "source": "api-gateway",
            "type": "prompt",
            "subject": call.user,
            "time": rfc3339(now),
            "data": {"model": call.model, "prompt_tokens": call.input_tokens, "completion_tokens": call.output_tokens},
        }
        for call in calls
    ]
    return json.dumps(events).encode()


def write_spans(calls: list[Call], now: datetime) -> bytes:
    """As OpenLLMetry and the Python SDK write spans of chat completions."""
    request, chance, end = ExportTraceServiceRequest(), random.Random(calls[0].id), int(now.timestamp() * 1000) * 10**6
    group = request.resource_spans.add()
    add_attributes(
        group.resource,
        {"telemetry.sdk.language": "python", "telemetry.sdk.version": "1.45.2", "service.name": "shop"},
    )
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "opentelemetry.instrumentation.openai.v1", "0.62.4"
    for call in calls:
        span = scope.spans.add(
            trace_id=UUID(call.id).bytes, span_id=chance.randbytes(8), name="openai.chat", kind=3, flags=256,
            start_time_unix_nano=end - chance.randrange(10**10), end_time_unix_nano=end,
        )  # fmt: skip
        add_attributes(
            span,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": call.model,
                "gen_ai.user": call.user,
                "gen_ai.is_streaming": False,
                "gen_ai.openai.api_base": "https://api.example.com/v1/",
                "gen_ai.response.model": f"{call.model}-2026-11-01",
                "gen_ai.response.id": f"chatcmpl-{call.id}",
                "gen_ai.conversation.id": call.conversation,
                "gen_ai.usage.total_tokens": call.input_tokens + call.output_tokens,
                "gen_ai.usage.output_tokens": call.output_tokens,
                "gen_ai.usage.input_tokens": call.input_tokens,
                "gen_ai.usage.cache_read.input_tokens": call.cached_tokens,
            },
        )
        span.status.SetInParent()
    return bytes(request.SerializeToString())


def add_attributes(message: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        any_value = message.attributes.add(key=name).value
        if isinstance(value, bool):
            any_value.bool_value = value
        elif isinstance(value, int):
            any_value.int_value = value
        else:
            any_value.string_value = value


EXCLUDED = (
    "messages", "response", "model_parameters", "model_map_information", "hidden_params", "error_str", "error_information",
)  # fmt: skip
"""`litellm.standard_logging_payload_excluded_fields` as docs/clients.md recommends it."""


def write_short_payloads(calls: list[Call], now: datetime) -> bytes:
    """As LiteLLM writes them without what ingest does not read."""
    return json.dumps(
        [
            {name: value for name, value in payload.items() if name not in EXCLUDED}
            for payload in make_payloads(calls, now)
        ]
    ).encode()


def write_payloads(calls: list[Call], now: datetime) -> bytes:
    """As LiteLLM 1.110.2 writes an array of its StandardLoggingPayload."""
    return json.dumps(list(make_payloads(calls, now))).encode()


def make_payloads(calls: list[Call], now: datetime) -> Iterator[dict[str, Any]]:
    """The recorded call, 14 kB with its prices."""
    recorded_call: dict[str, Any] = json.loads(recorded("litellm-generic-api-single.json"))
    prices = {f"input_cost_per_token_above_{number}k_tokens": None for number in range(200)}
    for call in calls:
        usage = {
            "prompt_tokens": call.input_tokens,
            "completion_tokens": call.output_tokens,
            "total_tokens": call.input_tokens + call.output_tokens,
            "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
        }
        metadata = recorded_call["metadata"] | {"user_api_key_user_id": call.user, "usage_object": usage}
        yield (
            recorded_call
            | {"id": call.id, "model": call.model, "session_id": call.conversation, "endTime": now.timestamp()}
            | {"prompt_tokens": call.input_tokens, "completion_tokens": call.output_tokens, "metadata": metadata}
            | {"model_map_information": {"model_map_key": call.model, "model_map_value": prices}}
        )


def write_lago(calls: list[Call], now: datetime) -> bytes:
    """As Lago's Python SDK writes a batch."""
    events = [
        {
            "transaction_id": call.id,
            "external_subscription_id": call.user,
            "code": "tokens",
            "timestamp": str(int(now.timestamp())),
            "precise_total_amount_cents": None,
            "properties": {"model": call.model, "input_tokens": call.input_tokens, "output_tokens": call.output_tokens},
        }
        for call in calls
    ]
    return json.dumps({"events": events}).encode()


NATIVE = Sender("native", "/api/v1/events", "application/cloudevents-batch+json", "", write_native, 202)
SENDERS = [
    NATIVE,
    NATIVE._replace(name="native 14 kB", write=write_long_native),
    Sender("openmeter", "/openmeter/api/v1/events", "application/cloudevents-batch+json", "openmeter", write_openmeter, 204),
    Sender("otlp spans", "/otlp/v1/traces", "application/x-protobuf", "otlp-genai", write_spans, 200),
    Sender("litellm", "/litellm", "application/json", "litellm", write_payloads, 202),
    Sender("litellm short", "/litellm", "application/json", "litellm", write_short_payloads, 202),
    Sender("lago", "/lago/api/v1/events/batch", "application/json", "lago", write_lago, 200),
]  # fmt: skip


async def create_keys(dsn: str, native_key: str) -> dict[str, str]:
    """A key for each protocol."""
    texts = {name: one.text for name, one in ready_made().items()}
    return {
        sender.name: await create_mapped_key(dsn, texts[sender.mapping]) if sender.mapping else native_key
        for sender in SENDERS
    }


class Load:
    """The bodies of one protocol. They report the same calls as those of every other."""

    def __init__(self, sender: Sender, requests: int) -> None:
        now, chance = datetime.now(UTC), random.Random(1)
        self.sender = sender
        self._bodies = [sender.write(make_calls(chance), now) for _ in range(requests)]
        self.event_bytes = sum(map(len, self._bodies)) / requests / REQUEST_SIZE

    def bodies(self, requests: int) -> Iterator[bytes]:
        """So many bodies, whose events have ids that no other event had."""
        return map(with_new_ids, islice(cycle(self._bodies), requests))


def with_new_ids(body: bytes) -> bytes:
    """The body with another time in its ids, which are UUIDs of version 7: as text, and in spans as bytes too."""
    built_at, time = int(BUILT_AT.timestamp() * 1000), next(_times)
    return body.replace(text_of(built_at), text_of(time)).replace(built_at.to_bytes(6), time.to_bytes(6))


def text_of(time: int) -> bytes:
    """How a UUIDv7 of this time, in milliseconds since 1970, begins."""
    return b"%08x-%04x-7" % (time >> 16, time & 0xFFFF)


_times = count(int(datetime.now(UTC).timestamp() * 1000))


async def send(url: str, key: str, load: Load, requests: int) -> None:
    address, sender, queue = urlsplit(url), load.sender, load.bodies(requests)

    async def send_requests() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for body in queue:
            head = (
                f"POST {sender.path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Type: {sender.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            status, answer = await read_answer(reader)
            if status != sender.status or b"rror" in answer[:500]:
                raise RuntimeError(f"{sender.name}: {status} {answer[:500]!r}")
        writer.close()

    await asyncio.gather(*(send_requests() for _ in range(CONNECTIONS)))
