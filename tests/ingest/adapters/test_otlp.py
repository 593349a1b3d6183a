"""The paths of OTLP against a running ingest: what real exporters sent, answers, limits and dead letters."""

import asyncio
import gzip
import json
import time
from datetime import UTC, datetime
from decimal import Decimal

import httpx
from flexcredits_cli.commands.operator.dlq import DeadLetter
from flexcredits_cli.commands.operator.dlq import post as replay
from flexcredits_schemas.codec import decode
from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.ready_made import ready_made
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from support.clients.recorded_otlp import RECORDED, recorded
from support.infra.stack import Database, Topics
from support.services.ingest import Ingest, headers_of, running_here
from support.services.mapped_keys import create_mapped_key

NOW = datetime.now(UTC)
PROTOBUF, JSON = "application/x-protobuf", "application/json"


async def post(
    ingest: Ingest, key: str, kind: str, body: bytes, content_type: str = PROTOBUF, **headers: str
) -> httpx.Response:
    sent = {"Authorization": f"Bearer {key}", "Content-Type": content_type, **headers}
    async with httpx.AsyncClient(base_url=ingest.url, timeout=30) as client:
        return await client.post(f"/otlp/v1/{kind}", content=body, headers=sent)


async def usage_of(ingest: Ingest) -> list[Usage]:
    events = [decode(record.value or b"") for record in await ingest.usage()]
    return [event for event in events if isinstance(event, Usage)]


def tokens(usage: list[Usage]) -> dict[str, Decimal]:
    """The sum of each unit."""
    sums: dict[str, Decimal] = {}
    for one in usage:
        for unit, amount in (one.data.quantities or {}).items():
            sums[unit] = sums.get(unit, Decimal(0)) + Decimal(json.loads(bytes(amount)))
    return sums


async def ignored(ingest: Ingest, kind: str) -> float:
    return await ingest.metric("flexcredits_ingest_foreign_events_total", protocol=f"otlp_{kind}", result="ignored")


async def test_recorded_requests_of_each_kind_count_once_however_often_they_are_sent(
    ingest: Ingest, database: Database
) -> None:
    key = await create_mapped_key(database.dsn, ready_made()["claude-code"].text)
    before = {kind: await ignored(ingest, kind) for kind in ("logs", "metrics")}
    for kind in ("logs", "metrics"):
        body = recorded(f"claude-code-2.1.332.{kind}.pb")
        for sent, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
            answer = await post(ingest, key, kind, sent, **headers)
            assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", PROTOBUF), (
                answer.content
            )
    first, copy = await usage_of(ingest)
    assert first == copy
    assert (first.source, first.id[:4], first.data.feature) == ("otlp", "log/", "claude-sonnet-4-5")
    assert tokens([first]) == {
        "uncached_input_tokens": 100,
        "cached_input_tokens": 900,
        "cache_write_input_tokens": 50,
        "output_tokens": 77,
    }
    assert {kind: await ignored(ingest, kind) - before[kind] for kind in before} == {"logs": 4, "metrics": 8}
    assert await ingest.dead_letters() == []


async def test_spans_are_counted_and_what_cannot_be_is_named(ingest: Ingest, database: Database) -> None:
    key = await create_mapped_key(database.dsn, ready_made()["otlp-genai"].text)
    request = ExportTraceServiceRequest.FromString(recorded("openllmetry-0.62.4.traces.pb"))
    spans = request.resource_spans[0].scope_spans[0].spans
    without = spans.add()
    without.CopyFrom(spans[0])
    without.span_id = b"withouta"
    for attribute in [one for one in without.attributes if "usage" in one.key]:
        without.attributes.remove(attribute)
    broken = spans.add()
    broken.CopyFrom(spans[0])
    broken.trace_id = b""
    answer = await post(ingest, key, "traces", request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans) == (200, 2)
    assert "rule `model calls`: /span/attributes/gen_ai.usage.input_tokens" in partial.error_message
    assert "a span has a trace id" in partial.error_message
    usage = await usage_of(ingest)
    assert len(usage) == 6
    assert tokens(usage) == {
        "input_tokens": 5130, "cached_input_tokens": 4500, "cache_write_input_tokens": 100, "output_tokens": 514,
        "reasoning_output_tokens": 80,
    }  # fmt: skip
    letters = {headers_of(letter)["dlq.class"]: letter for letter in await ingest.dead_letters()}
    assert set(letters) == {"unplaced", "invalid"}
    assert headers_of(letters["unplaced"])["dlq.path"] == "/otlp/v1/traces"
    unplaced = letters["unplaced"]
    letter = DeadLetter((unplaced.key or b"").decode(), NOW, dict(headers_of(unplaced)), unplaced.value)
    with httpx.Client(base_url=ingest.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        taken, outcome = await asyncio.to_thread(replay, client, letter)
    assert (taken, outcome) == (False, f"refused again: {headers_of(unplaced)['reason']}")
    assert len(await ingest.dead_letters()) == 3
    assert b"withouta".hex().encode() in (letters["unplaced"].value or b"")


async def test_vercels_json_is_answered_in_json(ingest: Ingest, database: Database) -> None:
    key = await create_mapped_key(database.dsn, ready_made()["otlp-genai"].text)
    body = (RECORDED / "vercel-ai-6.0.326.traces.json").read_bytes()
    now = str(time.time_ns()).encode()
    request = json.loads(body)
    for span in (
        span for group in request["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]
    ):
        span |= {"startTimeUnixNano": now.decode(), "endTimeUnixNano": now.decode()}
    answer = await post(ingest, key, "traces", json.dumps(request).encode(), f"{JSON}; charset=utf-8")
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, JSON)
    assert tokens(await usage_of(ingest)) == {
        "input_tokens": 2000, "cached_input_tokens": 1800, "output_tokens": 240, "reasoning_output_tokens": 80,
    }  # fmt: skip


async def test_refusals_are_a_status_in_the_content_type_of_the_request(ingest: Ingest, database: Database) -> None:
    mapped = await create_mapped_key(database.dsn, ready_made()["otlp-genai"].text)
    bomb = gzip.compress(b"\0" * (20 * 1024 * 1024 + 1))
    many = b"\x0a\x00" * 60_000
    for key, body, headers, status, code in (
        (mapped, b"{", {}, 400, 3), (mapped, many, {}, 400, 3), (mapped, b"\x1f", {"Content-Encoding": "gzip"}, 400, 3),
        (mapped, bomb, {"Content-Encoding": "gzip"}, 413, 3), (mapped, b"", {"Content-Encoding": "br"}, 415, 3),
        ("fc_test_nothing", b"", {}, 401, 16), (ingest.key, b"", {}, 403, 7),
    ):  # fmt: skip
        answer = await post(ingest, key, "traces", body, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROTOBUF), answer.content
        refused = Status.FromString(answer.content)
        assert (refused.code, bool(refused.message)) == (code, True)
    answer = await post(ingest, mapped, "traces", b"<", "text/xml")
    assert (answer.status_code, answer.json()["code"], answer.headers["accept"]) == (415, 3, f"{PROTOBUF}, {JSON}")
    assert (await post(ingest, mapped, "traces", b"[]", JSON)).json()["code"] == 3
    assert (await post(ingest, mapped, "traces", b"")).status_code == 200
    assert await ingest.written() == 0


async def test_a_key_over_its_quota_learns_when_to_send_again(database: Database, topics: Topics, key: str) -> None:
    mapped = await create_mapped_key(database.dsn, ready_made()["claude-code"].text)
    body = recorded("claude-code-2.1.332.logs.pb")
    async with running_here(database, topics, key, events_per_second_max=0.1) as ingest:
        assert (await post(ingest, mapped, "logs", body)).status_code == 200
        refused = await post(ingest, mapped, "logs", body)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert Status.FromString(refused.content).code == 8


async def test_metrics_count_only_where_a_mapping_opts_in_to_deltas(ingest: Ingest, database: Database) -> None:
    usage = {
        "product": {"value": "assistant"}, "feature_kind": {"value": "model"}, "feature": {"at": "/point/attributes/model"},
        "quantity": {"at": "/point/value"}, "unit": {"at": "/point/attributes/type"},
    }  # fmt: skip
    rule = {"name": "tokens", "protocol": "otlp_metrics", "usage": usage}
    opted = await create_mapped_key(database.dsn, {"type": "flexcredits.mapping.v1", "rules": [rule]})
    closed = await create_mapped_key(
        database.dsn, {"type": "flexcredits.mapping.v1", "rules": [{**rule, "protocol": "otlp_logs"}]}
    )
    body = recorded("claude-code-2.1.332.metrics.pb")
    refused = await post(ingest, closed, "metrics", body)
    assert (refused.status_code, "no rule for otlp_metrics" in Status.FromString(refused.content).message) == (
        403,
        True,
    )
    assert (await post(ingest, opted, "metrics", body)).content == b""
    assert sorted((one.data.unit, bytes(one.data.quantity)) for one in await usage_of(ingest)) == [
        ("cacheCreation", b'"50"'), ("cacheRead", b'"900"'), ("input", b'"100"'), ("output", b'"77"'),
    ]  # fmt: skip
    request = ExportMetricsServiceRequest.FromString(body)
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.aggregation_temporality = 2
    partial = ExportMetricsServiceResponse.FromString(
        (await post(ingest, opted, "metrics", request.SerializeToString())).content
    ).partial_success
    assert partial.rejected_data_points == 4
    assert partial.error_message.startswith("rule `tokens`: a cumulative point repeats what earlier points counted")
