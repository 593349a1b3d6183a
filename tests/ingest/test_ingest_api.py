"""The events endpoint over HTTP: accepted content, written records, and answers."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zlib import crc32

import httpx
import pytest
from flexcredits_schemas.codec import decode, encode
from support.data.factories import correction, organization, rate, rfc3339, usage
from support.services.ingest import BATCH, ONE, Ingest, headers_of, ids


def changed(base: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {**base, "data": {**base["data"], **data}}


@pytest.mark.parametrize(
    ("content_type", "batch"),
    [
        (ONE, False),
        (f"{ONE}; charset=utf-8", False),
        (BATCH, True),
        (f"{BATCH}; charset=UTF-8", True),
        ("application/json", False),
        ("application/json;charset=utf-8", True),
        ('Application/JSON; charset="utf-8"', True),
    ],
)
async def test_every_content_type_is_taken(shared: Ingest, content_type: str, batch: bool) -> None:
    answer = await shared.post([usage(), usage()] if batch else usage(), content_type)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"accepted": 2 if batch else 1, "rejected": []}


async def test_gzip_is_taken(shared: Ingest) -> None:
    body = json.dumps([usage() for _ in range(100)]).encode()
    halves = gzip.compress(body[:500]) + gzip.compress(body[500:])
    for content in (gzip.compress(body), halves):
        answer = await shared.post(content, content_encoding="gzip")
        assert answer.json() == {"accepted": 100, "rejected": []}


async def test_chunked_body_is_taken(shared: Ingest) -> None:
    answer = await shared.post(in_chunks(json.dumps([usage() for _ in range(1000)]).encode(), 10_000))
    assert answer.json() == {"accepted": 1000, "rejected": []}


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_canonical_bytes_are_written_and_never_the_clients(ingest: Ingest) -> None:
    sent = changed(usage(envelope={"traceparent": "00-1-2-01", "time": "2026-11-01T12:00:00+02:00"}), credits=1.5e-3)
    sent["time"] = rfc3339(datetime.now(UTC) - timedelta(hours=3)).replace("Z", "+00:00")
    text = json.dumps(sent, indent=3).replace('"id"', '"id": "overridden", "id"')
    assert (await ingest.post(text.encode())).status_code == 202
    (record,) = await ingest.usage()
    assert record.value == encode(decode(text.encode()))
    written = json.loads(record.value)
    assert written["id"] == sent["id"]
    assert written["data"]["credits"] == "0.0015"
    assert written["time"].endswith("Z")
    assert "traceparent" not in written
    assert headers_of(record) == {"content-type": "application/cloudevents+json"}
    assert record.timestamp_type == 1  # append time, never event time


def in_headers(sent: dict[str, Any]) -> dict[str, str]:
    """Attributes as binary mode sends them."""
    return {
        f"ce-{name}": quote(sent[name], safe="/:")
        for name in ("specversion", "id", "source", "type", "subject", "time")
    }


async def test_binary_mode_writes_what_structured_mode_does(ingest: Ingest) -> None:
    sent = usage(envelope={"id": "Größe 100 %", "datacontenttype": "application/json"}, feature="Prüfung")
    for content_type in ("application/json", "application/json; charset=utf-8"):
        answer = await ingest.post(sent["data"], content_type, **in_headers(sent))
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})
    assert (await ingest.post(sent)).status_code == 202
    written = {record.value for record in await ingest.usage()}
    assert written == {encode(decode(json.dumps(sent).encode()))}


async def test_binary_mode_names_what_is_wrong(shared: Ingest) -> None:
    sent = usage()
    headers = in_headers(sent)
    del headers["ce-time"]
    missing = (await shared.post(sent["data"], **headers)).json()["rejected"]
    assert [(event["id"], event["pointer"]) for event in missing] == [(sent["id"], "/time")]
    in_part = (await shared.post(sent["data"] | {"credits": "-1"}, **in_headers(sent))).json()["rejected"]
    assert [event["pointer"] for event in in_part] == ["/data/credits"]
    assert (await shared.post(sent["data"], "text/plain", **in_headers(sent))).status_code == 415
    assert (await shared.post(b"", **in_headers(sent))).status_code == 422


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\x7f", "\x85", "\uffff", "9" * 5000])
async def test_odd_characters_never_make_it_stumble(shared: Ingest, text: str) -> None:
    """In every text of an event, in binary mode's headers, and in addresses."""
    sent = usage(product="agents", agent={"id": "a", "kind": "saved", "name": "n"}, quantity="1", unit="tokens")
    changed_events = [{**sent, name: text} for name in sent if name != "data"]
    changed_events += [changed(sent, **{name: text}) for name in sent["data"]]
    for event in changed_events:
        assert (await shared.post(event)).status_code in (202, 400, 422), event
    encoded = quote(text.encode("utf-8", "surrogatepass"), safe="")
    for name in in_headers(sent):
        assert (await shared.post(sent["data"], **in_headers(sent) | {name: encoded})).status_code in (202, 400, 422)
    async with httpx.AsyncClient(base_url=shared.url) as client:
        for path in (f"/api/v1/events?x={encoded}", f"/{encoded}", f"/api/v1/events/{encoded}"):
            assert (await client.post(path, content=b"{}")).status_code in (401, 404, 405)


async def test_a_byte_order_mark_is_ignored(shared: Ingest) -> None:
    assert (await shared.post(b"\xef\xbb\xbf" + json.dumps(usage()).encode())).status_code == 202


async def test_rows_of_one_rollup_share_a_partition(ingest: Ingest) -> None:
    tools = [usage(feature=f"tool_{number % 5}") for number in range(40)]
    agents = [usage(product="agents", agent={"id": "agt|ü", "kind": "saved"}, feature=f"f{n}") for n in range(5)]
    assert (await ingest.post(tools + agents)).json()["accepted"] == 45
    records = await ingest.usage()
    keys = {record.key: record.partition for record in records}
    assert set(keys) == {f"org_acme|assistant|tool_{n}".encode() for n in range(5)} | {"org_acme|agents|agt|ü".encode()}
    assert all(record.partition == keys[record.key] == crc32(record.key) % 4 for record in records if record.key)
    assert len(set(keys.values())) > 1
    assert ids(records) == sorted(sent["id"] for sent in tools + agents)


async def test_catalog_events_go_to_the_catalog_and_corrections_beside_their_originals(ingest: Ingest) -> None:
    original = usage(product="agents")
    change = correction(original, "-0.5")
    answer = await ingest.post([organization(), original, change, rate(), rate(subject="org_acme")])
    assert answer.json() == {"accepted": 5, "rejected": []}
    catalog_events = await ingest.catalog_events()
    assert [record.key for record in catalog_events] == [b"org_acme", b"", b"org_acme"]
    assert next(json.loads(record.value or b"")["type"] for record in catalog_events) == "flexcredits.organization.v1"
    first, second = await ingest.usage()
    assert (first.key, first.partition) == (second.key, second.partition)
    assert [json.loads(record.value or b"")["id"] for record in (first, second)] == [original["id"], change["id"]]


async def test_one_bad_event_leaves_its_neighbours_counted_and_stands_in_the_dead_letters(ingest: Ingest) -> None:
    good = [usage() for _ in range(99)]
    bad = changed(usage(), product="assistants")
    answer = await ingest.post([*good[:42], bad, *good[42:]])
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 99,
        "rejected": [
            {
                "index": 42,
                "id": bad["id"],
                "pointer": "/data/product",
                "detail": "Invalid enum value 'assistants': must be one of assistant, agents, api",
            }
        ],
    }
    assert ids(await ingest.usage()) == sorted(sent["id"] for sent in good)
    (dead_letter,) = await ingest.dead_letters()
    assert dead_letter.value == json.dumps(bad).encode()
    assert (dead_letter.key or b"").startswith(b"ingest/")
    headers = headers_of(dead_letter)
    assert headers["reason"] == "Invalid enum value 'assistants': must be one of assistant, agents, api"
    assert headers["pointer"] == "/data/product"
    assert headers["organization"] == "org_acme"
    assert headers["dlq.service"] == "ingest"
    assert datetime.fromisoformat(headers["received_at"]).tzinfo is not None


async def test_nothing_acceptable_is_a_problem_with_every_event(ingest: Ingest) -> None:
    bad = [changed(usage(), credits=amount) for amount in ("0", "-1")]
    answer = await ingest.post(bad)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-events"
    assert [rejected["id"] for rejected in problem["rejected"]] == [event["id"] for event in bad]
    # Sent again, the dead letter has the same key, so readers see one.
    assert (await ingest.post(bad)).status_code == 422
    letters = await ingest.dead_letters()
    assert (len(letters), len({each.key for each in letters})) == (4, 2)


async def test_copies_within_a_request_are_written_once(ingest: Ingest) -> None:
    first = usage(envelope={"id": "1"})
    same = json.loads(json.dumps(changed(first, credits="1")))
    answer = await ingest.post([first, same, usage(), first])
    assert answer.json() == {"accepted": 2, "rejected": [], "duplicates": 2}
    assert len(await ingest.usage()) == 2


async def test_same_id_with_another_payload_is_a_conflict(ingest: Ingest) -> None:
    first = usage()
    answer = await ingest.post([first, changed(first, credits="2"), {**first, "subject": "org_other"}])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["pointer"]) == (1, "/id")
    assert [headers_of(dead_letter)["dlq.class"] for dead_letter in await ingest.dead_letters()] == ["conflict"]
