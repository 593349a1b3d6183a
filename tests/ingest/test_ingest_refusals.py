"""What ingest refuses: single events or whole requests. Each refusal names the reason and the place."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexcredits_cli.stack.api_keys import create_key
from support.data.factories import event, organization, rate, rfc3339, usage
from support.infra.stack import Database
from support.services.ingest import BATCH, ONE, Ingest, headers_of, ids

from .test_ingest_api import changed


def usage_with(**envelope: Any) -> dict[str, Any]:
    return usage(envelope=envelope)


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in usage().items() if field != name}


NOW = datetime.now(UTC)
SINGLY = {
    "a NUL": (changed(usage(), feature="a\0b"), "/data/feature"),
    "an escape sequence": (changed(usage(), surface="\u001b[2J"), "/data/surface"),
    "NaN as text": (changed(usage(), credits="NaN"), "/data/credits"),
    "sNaN": (changed(usage(), credits="sNaN"), "/data/credits"),
    "Infinity as text": (changed(usage(), credits="Infinity"), "/data/credits"),
    "1e999999 as text": (changed(usage(), credits="1e999999"), "/data/credits"),
    "negative": (changed(usage(), credits="-1"), "/data/credits"),
    "negative number": (changed(usage(), credits=-1), "/data/credits"),
    "zero": (changed(usage(), credits="0.000000"), "/data/credits"),
    "seven decimals": (changed(usage(), credits="1.0000001"), "/data/credits"),
    "too much": (changed(usage(), credits="1000000000"), "/data/credits"),
    "credits as a list": (changed(usage(), credits=[1]), "/data/credits"),
    "credits as a boolean": (changed(usage(), credits=True), "/data/credits"),
    "neither credits nor quantity": (usage(credits=None), "/data"),
    "both credits and quantity": (changed(usage(), quantity="1", unit="tokens"), "/data/credits"),
    "quantity without unit": (usage(quantity="1"), "/data/unit"),
    "no id": (without("id"), "/id"),
    "no source": (without("source"), "/source"),
    "no subject": (without("subject"), "/subject"),
    "no time": (without("time"), "/time"),
    "no type": (without("type"), "/type"),
    "no specversion": (without("specversion"), "/specversion"),
    "no data": (without("data"), "/data"),
    "no product": (usage(product=None), "/data/product"),
    "unknown product": (changed(usage(), product="helper"), "/data/product"),
    "unknown field": (changed(usage(), colour="red"), "/data/colour"),
    "unknown type": (event("flexcredits.usage.v2", usage()["data"]), "/type"),
    "other specversion": (usage_with(specversion="0.3"), "/specversion"),
    "agent missing for agents": (usage(product="agents", agent=None), "/data/agent"),
    "agent of unknown kind": (usage(product="agents", agent={"id": "a", "kind": "robot"}), "/data/agent/kind"),
    "namespace outside api": (changed(usage(), feature_kind="namespace"), "/data/feature_kind"),
    "organization with a space": (usage_with(subject="org acme"), "/subject"),
    "empty id": (usage_with(id=""), "/id"),
    "long id": (usage_with(id="x" * 129), "/id"),
    "two hours in the future": (usage_with(time=rfc3339(NOW + timedelta(hours=2))), "/time"),
    "three years old": (usage_with(time=rfc3339(NOW - timedelta(days=3 * 365))), "/time"),
    "no time zone": (usage_with(time="2026-11-01T00:00:00"), "/time"),
    "no such day": (usage_with(time="2026-02-30T00:00:00Z"), "/time"),
    "year 9999 far west": (usage_with(time="9999-12-31T23:59:59-23:59"), "/time"),
    "not an object": (17, ""),
    "null": (None, ""),
    "a batch in a batch": ([usage()], ""),
    "300 kB": (changed(usage(), feature="x" * 300_000), ""),
    "catalog event of the future": (organization(time=rfc3339(NOW + timedelta(hours=2))), "/time"),
    "unknown time zone": (organization(time_zone="Europe/Atlantis"), "/data/time_zone"),
}


@pytest.mark.parametrize("name", SINGLY)
async def test_bad_event_is_refused_alone_and_named(shared: Ingest, name: str) -> None:
    bad, pointer = SINGLY[name]
    good = [usage(), usage()]
    before = len(await shared.dead_letters())
    answer = await shared.post([good[0], bad, good[1]])
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 2
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["pointer"]) == (1, pointer), rejected
    assert rejected["detail"]
    (dead_letter,) = (await shared.dead_letters())[before:]
    raw = json.dumps(bad).encode()
    assert dead_letter.value == raw[: 256 * 1024]
    assert headers_of(dead_letter)["reason"] == rejected["detail"]
    assert {sent["id"] for sent in good} <= set(ids(await shared.usage()))


@pytest.mark.parametrize("name", ["bad UTF-8", "1e999999", "a large integer", "-0.0000001", "duplicate keys"])
async def test_bad_bytes_in_an_event_are_refused_alone(shared: Ingest, name: str) -> None:
    raw = {
        "bad UTF-8": json.dumps(usage(feature="FEATURE")).encode().replace(b"FEATURE", b"\xff\xfe"),
        "1e999999": json.dumps(usage(credits="CREDITS")).encode().replace(b'"CREDITS"', b"1e999999"),
        "a large integer": json.dumps(usage(credits="CREDITS")).encode().replace(b'"CREDITS"', b"9" * 5000),
        "-0.0000001": json.dumps(usage(credits="CREDITS")).encode().replace(b'"CREDITS"', b"-0.0000001"),
        "duplicate keys": json.dumps(usage())
        .encode()
        .replace(b'"credits"', b'"credits": "1", "product": "x", "credits"'),
    }[name]
    before = len(await shared.dead_letters())
    answer = await shared.post(b"[" + json.dumps(usage()).encode() + b"," + raw + b"]")
    assert answer.status_code == 202, answer.text
    assert [rejected["index"] for rejected in answer.json()["rejected"]] == [1]
    assert (await shared.dead_letters())[before:][0].value == raw


GOOD = json.dumps(usage()).encode()
WHOLE: dict[str, tuple[bytes, dict[str, Any], int]] = {
    "truncated JSON": (GOOD[:-20], {}, 400),
    "truncated batch": (b"[" + GOOD + b"," + GOOD, {}, 400),
    "NaN": (GOOD.replace(b'"1.000000"', b"NaN"), {}, 400),
    "Infinity": (b"[" + GOOD.replace(b'"1.000000"', b"Infinity") + b"]", {}, 400),
    "raw control character": (GOOD.replace(b"jira", b"ji\x00ra"), {}, 400),
    "something behind": (GOOD + b" x", {}, 400),
    "two documents": (GOOD + b"\n" + GOOD, {}, 400),
    "empty": (b"", {}, 400),
    "blank": (b" \n ", {}, 400),
    "a number": (b"17", {}, 400),
    "text": (b"hello", {}, 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), {}, 400),
    "deep array": (b"[" * 200_000, {}, 400),
    "deep object": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {}, 400),
    "deep data": (GOOD.replace(b'"web"', b"[" * 5000 + b"]" * 5000), {}, 400),
    "batch for one": (b"[" + GOOD + b"]", {"content_type": ONE}, 400),
    "one for batch": (GOOD, {"content_type": BATCH}, 400),
    "10 MB": (b"[" + b" " * 10_000_000 + b"]", {}, 413),
    "10 MB event": (json.dumps(usage(feature="x" * 10_000_000)).encode(), {}, 413),
    "a million numbers": (b"[" + b"1," * 2_000_000 + b"1]", {}, 413),
    "10,001 events": (b"[" + b",".join([b'{"id":"1"}'] * 10_001) + b"]", {}, 413),
    "gzip bomb": (gzip.compress(b" " * 500_000_000, 9), {"content_encoding": "gzip"}, 413),
    "gzip of gzip": (gzip.compress(gzip.compress(GOOD)), {"content_encoding": "gzip"}, 400),
    "truncated gzip": (gzip.compress(GOOD)[:-9], {"content_encoding": "gzip"}, 400),
    "not gzip": (GOOD, {"content_encoding": "gzip"}, 400),
    "garbage behind gzip": (gzip.compress(GOOD) + b"garbage", {"content_encoding": "gzip"}, 400),
    "many gzip members": (gzip.compress(b"") * 1000 + gzip.compress(GOOD), {"content_encoding": "gzip"}, 400),
    "gzip unannounced": (gzip.compress(GOOD), {}, 400),
    "br": (GOOD, {"content_encoding": "br"}, 415),
    "gzip twice": (GOOD, {"content_encoding": "gzip, gzip"}, 415),
    "text/plain": (GOOD, {"content_type": "text/plain"}, 415),
    "form": (GOOD, {"content_type": "application/x-www-form-urlencoded"}, 415),
    "no content type": (GOOD, {"content_type": None}, 415),
    "avro": (GOOD, {"content_type": "application/cloudevents+avro"}, 415),
    "latin-1": (GOOD, {"content_type": f"{ONE}; charset=iso-8859-1"}, 415),
    "no such key": (GOOD, {"key": "fc_test_000000000000_" + "0" * 43 + "_000000"}, 401),
    "no key at all": (GOOD, {"Authorization": ""}, 401),
    "basic": (GOOD, {"Authorization": "Basic dTpw"}, 401),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_request_refused_whole_writes_nothing_and_is_counted(shared: Ingest, name: str) -> None:
    body, how, status = WHOLE[name]
    written = await shared.written()
    answer = await shared.post(body, **how)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert await shared.metric("flexcredits_ingest_requests_total", status=str(status)) >= 1
    kind = problem["type"].removeprefix("/problems/")
    assert await shared.metric("flexcredits_ingest_refused_requests_total", problem=kind) >= 1
    assert await shared.written() == written
    assert await shared.metric("flexcredits_ingest_in_flight_bytes") == 0


async def test_chunked_body_is_counted_as_it_comes(shared: Ingest) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 100_000
            yield b" " * 100_000

    answer = await shared.post(endless())
    assert answer.status_code == 413


async def test_unparsable_body_says_where(shared: Ingest) -> None:
    answer = await shared.post(b'[{"id": 1}, {]')
    assert "byte 13" in answer.json()["detail"]


async def test_refusals_say_what_would_be_taken(shared: Ingest) -> None:
    assert "application/cloudevents-batch+json" in (await shared.post(GOOD, "text/plain")).headers["accept"]
    assert (await shared.post(GOOD, content_encoding="br")).headers["accept-encoding"] == "gzip"
    assert (await shared.post(GOOD, key="x")).headers["www-authenticate"].startswith("Bearer ")


async def test_other_paths_and_methods_are_problems(shared: Ingest) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=shared.url) as client:
        for path in ("/", "/docs", "/openapi.json", "/metrics", "/api/v1/events/1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
        answer = await client.get("/api/v1/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "server" not in answer.headers


async def test_unpaired_surrogate_never_reaches_the_topic(shared: Ingest) -> None:
    written = await shared.written()
    answer = await shared.post(GOOD.replace(b"jira", b"ji\\ud800ra"))
    assert answer.status_code in (400, 422)
    assert await shared.written() - written == (answer.status_code == 422)


async def test_empty_batch_is_nothing(shared: Ingest) -> None:
    assert (await shared.post([])).json() == {"accepted": 0, "rejected": []}


async def test_organization_outside_the_key(ingest: Ingest, database: Database) -> None:
    key = await create_key(database.dsn, "org_acme", "*")
    mine, other = usage(), usage(envelope={"subject": "org_other"})
    answer = await ingest.post([mine, other], key=key)
    assert answer.status_code == 202
    assert [(r["index"], r["pointer"]) for r in answer.json()["rejected"]] == [(1, "/subject")]
    (dead_letter,) = await ingest.dead_letters()
    assert headers_of(dead_letter)["organization"] == "org_other"
    assert headers_of(dead_letter)["dlq.class"] == "outside_scope"

    answer = await ingest.post([other, other], key=key)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/outside-scope"
    assert len(answer.json()["rejected"]) == 2
    assert len(await ingest.dead_letters()) == 1
    assert ids(await ingest.usage()) == [mine["id"]]


async def test_product_outside_the_key(ingest: Ingest, database: Database) -> None:
    key = await create_key(database.dsn, "*", "assistant")
    answer = await ingest.post([usage(), usage(product="agents"), organization(), rate()], key=key)
    assert answer.json()["accepted"] == 1
    assert [r["pointer"] for r in answer.json()["rejected"]] == ["/data/product", "/type", "/type"]
