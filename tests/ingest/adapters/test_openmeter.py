"""The paths of OpenMeter against a running ingest: answers, identities, mappings and dead letters."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from flexcredits_cli.terminal.problem import SetupProblem
from flexcredits_schemas.codec import decode
from flexcredits_schemas.events import Usage
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from flexcredits_schemas.mapping.ready_made import ready_made
from support.data.factories import rfc3339
from support.data.mappings import document, rule, usage_sources
from support.infra.stack import Database
from support.services.ingest import BATCH, ONE, Ingest, Record, headers_of
from support.services.mapped_keys import create_mapped_key

V1, V3 = "/openmeter/api/v1/events", "/openmeter/api/v3/openmeter/events"
NOW = datetime.now(UTC)
MAPPING = document(
    rule("tests", when=[{"at": "/type", "is": "test"}], ignore=True),
    rule(
        "calls",
        when=[{"at": "/type", "in": ["prompt", "litellm_tokens"]}],
        usage=usage_sources(
            actor={"id": {"at": "/subject"}}, quantities={"input_tokens": {"at": "/data/in"}, "output_tokens": {"at": "/data/out"}}
        ),
    ),
    organization=None,
)  # fmt: skip


def event(event_id: str = "e-1", *, data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """An event as OpenMeter's SDKs send it; an attribute given as None is left out."""
    fields = {
        "specversion": "1.0", "id": event_id, "source": "api-gateway", "type": "prompt", "subject": "ada", "time": rfc3339(NOW),
        "data": {"model": "gpt", "in": 12, "out": 8} if data is None else data,
    } | attributes  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
async def mapped(database: Database) -> str:
    return await create_mapped_key(database.dsn, MAPPING)


async def post(
    ingest: Ingest, key: str, body: Any, content_type: str = ONE, path: str = V1, **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {key}", "Content-Type": content_type, **headers}
    async with httpx.AsyncClient(base_url=ingest.url, timeout=30) as client:
        return await client.post(path, content=content, headers=sent)


def events_of(records: list[Record]) -> list[Usage]:
    events = [decode(record.value or b"") for record in records]
    return [event for event in events if isinstance(event, Usage)]


async def test_one_event_a_batch_and_an_array_are_answered_with_204_and_no_body(ingest: Ingest, mapped: str) -> None:
    sent = [
        (event("a"), "application/cloudevents+json; charset=utf-8"), ([event("b"), event("c")], BATCH), ([event("d")], "application/json"),
        (event("e"), "application/json"), ([], BATCH),
    ]  # fmt: skip
    for body, content_type in sent:
        answer = await post(ingest, mapped, body, content_type)
        assert (answer.status_code, answer.content) == (204, b""), answer.text
        assert "content-type" not in answer.headers
        assert answer.headers["x-request-id"]
    compressed = gzip.compress(json.dumps(event("f")).encode())
    assert (await post(ingest, mapped, compressed, **{"Content-Encoding": "gzip"})).status_code == 204
    v3 = await post(ingest, mapped, [event("g")], "application/json", V3)
    assert (v3.status_code, v3.content) == (202, b"")
    placed = events_of(await ingest.usage())
    assert sorted(at.id for at in placed) == list("abcdefg")
    assert {(at.subject, at.source, at.data.feature, at.data.actor.id if at.data.actor else "") for at in placed} == {
        ("org_acme", "openmeter:api-gateway", "gpt", "ada")
    }
    assert {at.time for at in placed} == {NOW.replace(tzinfo=UTC)}


async def test_what_cannot_be_placed_is_a_dead_letter_and_its_neighbours_count(ingest: Ingest, mapped: str) -> None:
    sent = [
        event("placed"), event("missing", data={"in": 1}), event("unmapped", type="else"), event("ignored", type="test"),
        event("", data={}), event("late", time=rfc3339(NOW - timedelta(days=401))), event("placed"), 17,
    ]  # fmt: skip
    before = await counts(ingest)
    answer = await post(ingest, mapped, sent, BATCH)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [at.id for at in events_of(await ingest.usage())] == ["placed"]
    letters = {
        json.loads(at.value or b"null").get("id", "?") if at.value != b"17" else "17": at
        for at in await ingest.dead_letters()
    }
    classes = {
        event_id: (headers_of(at)["dlq.class"], headers_of(at)["pointer"], headers_of(at)["organization"])
        for event_id, at in letters.items()
    }
    assert classes == {
        "missing": ("unplaced", "/data/model", "org_acme"), "unmapped": ("unmapped", "", "org_acme"), "": ("invalid", "/id", "org_acme"),
        "late": ("outside_window", "", "org_acme"), "17": ("invalid", "", "org_acme"),
    }  # fmt: skip
    missing = headers_of(letters["missing"])
    assert missing["reason"] == "rule `calls`: /data/model is missing (feature)"
    assert missing["dlq.path"] == V1
    assert json.loads(letters["missing"].value or b"") == event("missing", data={"in": 1})
    added = {result: number - before[result] for result, number in (await counts(ingest)).items()}
    assert added == {"mapped": 2, "ignored": 1, "unplaced": 1, "unmapped": 1, "rejected": 3}


async def counts(ingest: Ingest) -> dict[str, float]:
    results = ("mapped", "ignored", "unplaced", "unmapped", "rejected")
    name = "flexcredits_ingest_foreign_events_total"
    return {result: await ingest.metric(name, protocol="openmeter", result=result) for result in results}


async def test_a_request_without_a_placed_event_is_answered_with_400_as_its_clients_parse_it(
    ingest: Ingest, mapped: str
) -> None:
    """OpenMeter's collector drops what gets 400 and sends again what gets any other error."""
    answer = await post(ingest, mapped, [event("a", data={"in": 1}), event("b", type="else")], BATCH)
    problem = answer.json()
    assert (answer.status_code, problem["status"], answer.headers["content-type"]) == (
        400,
        400,
        "application/problem+json",
    )
    assert (problem["type"], problem["title"]) == ("/problems/invalid-events", "No event can be accepted")
    assert problem["detail"].startswith("rule `calls`: /data/model is missing (feature)")
    assert [(at["index"], at["id"]) for at in problem["rejected"]] == [(0, "a"), (1, "b")]
    assert len(await ingest.dead_letters()) == 2
    assert (await post(ingest, mapped, [event("t", type="test")], BATCH)).status_code == 204
    for body, content_type, status in (
        (b"{", ONE, 400), (b"", ONE, 400), (b"<", "text/plain", 415), (event(), BATCH, 400), ([event()], ONE, 400), (b"[" * 99_999, BATCH, 400),
    ):  # fmt: skip
        answer = await post(ingest, mapped, body, content_type)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body
    assert not await ingest.usage()


async def test_a_key_without_a_mapping_is_refused_with_what_to_do(shared: Ingest, shared_database: Database) -> None:
    lago = await create_mapped_key(shared_database.dsn, document(rule(protocol="lago")))
    unusable = await create_mapped_key(shared_database.dsn, MAPPING)
    await store_unchecked(shared_database, unusable, {"type": "flexcredits.mapping.v1", "rules": []})
    for key, detail in (
        (shared.key, "flexcredits mappings set"), (lago, "no rule for openmeter"), (unusable, "length >= 1, at /rules"),
    ):  # fmt: skip
        answer = await post(shared, key, event())
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-mapping")
        assert detail in answer.json()["detail"]
    answer = await post(shared, "fc_test_nothing", event())
    assert (answer.status_code, answer.headers["www-authenticate"].split()[0]) == (401, "Bearer")


async def test_the_organization_is_the_keys_whatever_the_event_says(ingest: Ingest, database: Database) -> None:
    """A foreign subject, even the name of another organization, is an actor. A mapping for another organization than
    the key's, or for a product that the key does not cover, is refused like a wrong key."""
    key = await create_mapped_key(database.dsn, MAPPING, "org_b")
    assert (await post(ingest, key, event(subject="org_acme"))).status_code == 204
    (placed,) = events_of(await ingest.usage())
    assert (placed.subject, placed.data.actor and placed.data.actor.id) == ("org_b", "org_acme")
    other = await create_mapped_key(database.dsn, MAPPING, "org_b")
    await store_unchecked(database, other, document(rule(), organization="org_acme"))
    of_agents = await create_mapped_key(database.dsn, MAPPING, "org_b", "agents")
    for refused, detail in ((other, "organization org_acme"), (of_agents, "does not cover assistant")):
        answer = await post(ingest, refused, event("refused"))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/outside-scope")
        assert detail in answer.json()["detail"]
        assert answer.json()["rejected"][0]["pointer"] == ""
    assert await ingest.written() == 1
    with pytest.raises(SetupProblem, match="does not cover the organization org_acme"):
        await create_mapped_key(database.dsn, document(), "org_b")


async def test_a_copy_is_a_duplicate_where_its_client_cannot_repeat_the_content(
    ingest: Ingest, mapped: str, database: Database
) -> None:
    """OpenMeter's Python SDK sends no time, and LiteLLM repeats the id of a call for its cache hits, with another time
    and the cost 0. Elsewhere another content under the same id stays a conflict."""
    litellm = await create_mapped_key(database.dsn, ready_made()["litellm-openmeter"].text)
    call = {
        "specversion": "1.0", "type": "litellm_tokens", "id": "chatcmpl-1", "time": NOW.isoformat(), "subject": "ada",
        "source": "litellm-proxy",
    }  # fmt: skip
    tokens = {"model": "gpt-4o", "prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
    hit = call | {"time": (NOW + timedelta(minutes=1)).isoformat()}
    calls = [
        call | {"data": tokens | {"cost": 0.0000345}}, hit | {"data": tokens | {"cost": 0.0}}, hit | {"id": "chatcmpl-2", "data": tokens | {"cost": None}},
    ]  # fmt: skip
    for sent in (*calls, [*calls, calls[1]]):
        assert (await post(ingest, litellm, sent, "application/json")).status_code == 204
    for sent in (event("untimed", time=None), [event("untimed", time=None)] * 2):
        assert (await post(ingest, mapped, sent, "application/json")).status_code == 204
    conflict = [event("e"), event("e", data={"model": "gpt", "in": 13})]
    assert (await post(ingest, mapped, conflict, BATCH)).status_code == 204
    assert [headers_of(at)["dlq.class"] for at in await ingest.dead_letters()] == ["conflict"]
    written = [(json.loads(at.value or b"")["id"], FIRST_WINS_HEADER in at.headers) for at in await ingest.usage()]
    assert sorted(written) == [
        *[("chatcmpl-1", False)] * 2, ("chatcmpl-1", True), *[("chatcmpl-2", False)] * 2, ("e", False), *[("untimed", True)] * 2,
    ]  # fmt: skip
    assert {json.dumps(json.loads(at.value or b"")["data"]["quantities"]) for at in await ingest.usage()} == {
        '{"input_tokens": "12", "output_tokens": "8"}'
    }


async def store_unchecked(database: Database, key: str, mapping: dict[str, Any]) -> None:
    """Store a mapping that the command line would refuse."""
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        await connection.execute(
            "UPDATE api_key_mappings SET document = $1 WHERE key_id = $2", json.dumps(mapping), key.split("_")[2]
        )
    finally:
        await connection.close()
