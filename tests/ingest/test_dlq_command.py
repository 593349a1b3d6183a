"""`dlq ls|show|replay` on dead letters of ingest and aggregator."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from click.testing import Result
from flexcredits_cli.commands.operator import dlq
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.terminal.problem import SetupProblem
from runtime.kafka.clients import open_producer
from support.data.factories import usage, uuid7
from support.data.mappings import document, rule, usage_sources
from support.infra.stack import Database
from support.services.ingest import Ingest, ids, read_topic
from support.services.mapped_keys import create_mapped_key
from typer.testing import CliRunner

Call = Callable[..., Result]


@pytest.fixture
def call(shared: Ingest, topic: str, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", shared.topics.bootstrap)
    monkeypatch.setenv("DEAD_LETTER_TOPIC", topic)
    return lambda *arguments: CliRunner().invoke(dlq.app, arguments)


@pytest.fixture
def topic(topics: Any) -> str:
    """A dead letter topic for one test. Replays go to the shared service."""
    return str(topics.dlq)


def put(shared: Ingest, topic: str, dead_letters: Sequence[tuple[str, bytes | None, dict[str, str]]]) -> None:
    async def send() -> None:
        async with open_producer(shared.topics.bootstrap, "test") as producer:
            for key, value, headers in dead_letters:
                pairs = [(name, text.encode()) for name, text in headers.items()]
                await producer.send_and_wait(topic, value, key=key.encode(), headers=pairs)

    asyncio.run(send())


def from_aggregator(offset: int, reason: str) -> tuple[str, dict[str, str]]:
    key = f"usage.events.v1/2/{offset}"
    place = {"topic": "usage.events.v1", "partition": "2", "offset": str(offset), "received_at": "2026-11-22"}
    return key, {"reason": reason, "pointer": "/time", **place}


def test_dead_letters_are_listed_once_and_shown_unchanged(call: Call, shared: Ingest, topic: str) -> None:
    key, headers = from_aggregator(17, "more than 400 days before its receipt")
    event = json.dumps(usage()).encode()
    broken = b"{\xff \x1b[2J"
    put(shared, topic, [(key, event, headers), (key, event, headers), ("ingest/1", broken, {"reason": "bad \x1b[2J"})])

    lines = call("ls").output.splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["KEY", "WRITTEN", "AT", "ORGANIZATION", "EVENT", "ID", "BYTES", "POINTER", "REASON"]
    assert lines[1].startswith(f"{key}  20")
    assert lines[1].split()[2:6] == ["org_acme", json.loads(event)["id"], f"{len(event)}", "/time"]
    assert lines[1].endswith("more than 400 days before its receipt")
    assert "\x1b" not in lines[2]

    (listed,) = json.loads(call("ls", "--json", "--reason", "400 DAYS").stdout)["dead_letters"]
    assert (listed["key"], listed["event_id"]) == (key, json.loads(event)["id"])
    document = json.loads(call("show", "ingest/1", "--json").stdout)
    assert base64.b64decode(document["value_base64"]) == broken

    shown = call("show", "ingest/1").stdout_bytes
    head, _, value = shown.partition(b"\n\n")
    assert value == broken + b"\n"
    assert b"\x1b" not in head
    assert isinstance(call("show", "nothing").exception, SetupProblem)


def test_replay_keeps_the_id_and_says_what_came_of_it(call: Call, shared: Ingest, topic: str) -> None:
    good, bad = usage(), usage(credits="0")
    dead_letters = []
    for offset, value in enumerate([json.dumps(good).encode(), json.dumps(bad).encode(), None, b"{"]):
        key, headers = from_aggregator(offset, f"reason {offset}")
        dead_letters.append((key, value, headers))
    put(shared, topic, dead_letters)
    how = ["--url", shared.url, "--key", shared.key]

    dry = call("replay", "--all", "--dry-run")
    assert dry.exit_code == 0
    assert dry.output.count("would be sent") == 3
    assert good["id"] not in ids(asyncio.run(read_topic(shared.topics.bootstrap, shared.topics.usage_events)))

    result = call("replay", "--all", *how)
    assert result.exit_code == 1
    first, second, third, fourth = result.output.splitlines()
    assert first == "usage.events.v1/2/0  accepted"
    assert second.startswith("usage.events.v1/2/1  refused again: must not be 0")
    assert "skipped" in third
    assert "refused again: not valid JSON" in fourth
    again = call("replay", dead_letters[0][0], "--json", *how)
    assert json.loads(again.stdout) == {"dead_letters": [{"key": dead_letters[0][0], "outcome": "accepted"}]}
    written = ids(asyncio.run(read_topic(shared.topics.bootstrap, shared.topics.usage_events)))
    assert written.count(good["id"]) == 2  # the ledger counts one


def test_what_a_key_did_not_cover_is_replayed_only_when_named(
    call: Call, shared: Ingest, topic: str, shared_database: Database
) -> None:
    foreign = usage(envelope={"subject": "org_other"})
    key = asyncio.run(create_key(shared_database.dsn, "org_acme", "*"))
    with httpx.Client(base_url=shared.url, headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.post("/api/v1/events", json=[usage(), foreign]).status_code == 202
    dead_letters = asyncio.run(read_topic(shared.topics.bootstrap, shared.topics.dlq))
    dead_letter = next(
        dead_letter for dead_letter in dead_letters if foreign["id"].encode() in (dead_letter.value or b"")
    )
    name = (dead_letter.key or b"").decode()
    put(shared, topic, [(name, dead_letter.value, {n: v.decode() for n, v in dead_letter.headers})])

    how = ["--url", shared.url, "--key", shared.key]
    assert "skipped: the sender's key did not cover it" in call("replay", "--all", *how).output
    assert call("replay", "--all", "--reason", "outside_scope", *how).output == f"{name}  accepted\n"
    assert call("replay", name, *how).output == f"{name}  accepted\n"


def test_foreign_events_are_replayed_at_their_own_path_once_the_mapping_is_correct(
    call: Call, shared: Ingest, topic: str, shared_database: Database
) -> None:
    path, sent = "/openmeter/api/v1/events", {"id": uuid7(), "source": "s", "type": "t", "data": {"name": "gpt"}}
    wrong = asyncio.run(create_mapped_key(shared_database.dsn, document()))
    named = rule(usage=usage_sources(feature={"at": "/data/name"}))
    right = asyncio.run(create_mapped_key(shared_database.dsn, document(named)))
    with httpx.Client(base_url=shared.url, headers={"Authorization": f"Bearer {wrong}"}) as client:
        assert client.post(path, json=sent).status_code == 400
    (letter,) = [
        at
        for at in asyncio.run(read_topic(shared.topics.bootstrap, shared.topics.dlq))
        if sent["id"].encode() in (at.value or b"")
    ]
    headers = {name: value.decode() for name, value in letter.headers}
    name = (letter.key or b"").decode()
    put(
        shared,
        topic,
        [
            (name, letter.value, headers),
            ("usage.events.v1/0/1", json.dumps(usage()).encode(), headers | {"dlq.path": "//host/x"}),
        ],
    )

    assert "the key has no mapping" in call("replay", name, "--url", shared.url, "--key", shared.key).output
    assert "/data/model is missing" in call("replay", name, "--url", shared.url, "--key", wrong).output
    assert call("replay", name, "--url", shared.url, "--key", right).output == f"{name}  accepted\n"
    assert "accepted" in call("replay", "usage.events.v1/0/1", "--url", shared.url, "--key", shared.key).output
    written = ids(asyncio.run(read_topic(shared.topics.bootstrap, shared.topics.usage_events)))
    assert written.count(sent["id"]) == 1


def test_service_that_takes_nothing_now_stops_the_replay(call: Call, shared: Ingest, topic: str) -> None:
    put(shared, topic, [(*from_aggregator(1, "x")[:1], json.dumps(usage()).encode(), {})])
    result = call("replay", "--all", "--url", shared.url, "--key", "wrong")
    assert isinstance(result.exception, SetupProblem)
    assert "401" in str(result.exception)
    result = call("replay", "--all", "--url", "http://127.0.0.1:1", "--key", "wrong")
    assert isinstance(result.exception, SetupProblem)
    assert isinstance(call("replay").exception, SetupProblem)
