"""Both clients against a real HTTP server that fails in every way."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flexcredits_client import (
    AsyncClient,
    Client,
    ClientClosed,
    InvalidUsage,
    Options,
    QueueFull,
    Reason,
    Rejected,
    SendingStopped,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support.services.scripted_ingest import (
    ACCEPT,
    CLOSE,
    CUT,
    NOT_A_RECEIPT,
    SLOW,
    STORE_AND_CLOSE,
    Behaviour,
    Event,
    ScriptedIngest,
    page,
    refuse,
    scripted_ingest,
)

from .conftest import quick


class Threaded:
    """`Client` as the tests use it."""

    def __init__(self, url: str, options: Options, key: str = "fc_test") -> None:
        self._client = Client(url, key, "/products/test", options)

    def record(self, feature: str = "jira", **more: Any) -> str:
        return self._client.record("org_acme", "assistant", "tool", feature, **{"credits": "1", **more})

    def flush(self, timeout_s: float | None = 10) -> bool:
        return self._client.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        return self._client.close(timeout_s)

    def stats(self) -> Any:
        return self._client.stats()


class InLoop:
    """`AsyncClient`, with its loop in another thread."""

    def __init__(self, url: str, options: Options, key: str = "fc_test") -> None:
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._end.wait()), daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, key, "/products/test", options)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def record(self, feature: str = "jira", **more: Any) -> str:
        given = {"credits": "1", **more}
        return str(self._run(self._client.record("org_acme", "assistant", "tool", feature, **given)))

    def flush(self, timeout_s: float | None = 10) -> bool:
        return bool(self._run(self._client.flush(timeout_s)))

    def close(self, timeout_s: float | None = None) -> bool:
        try:
            return bool(self._run(self._client.close(timeout_s)))
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(10)
            self._loop.close()

    def stats(self) -> Any:
        return self._client.stats()


Opener = Callable[..., Threaded | InLoop]


@pytest.fixture(params=[Threaded, InLoop])
def opened(request: pytest.FixtureRequest, ingest: ScriptedIngest) -> Iterator[Opener]:
    """Opens clients of both kinds, and closes them."""
    clients: list[Threaded | InLoop] = []

    def open_client(url: str = "", key: str = "fc_test", **options: Any) -> Threaded | InLoop:
        clients.append(request.param(url or ingest.url, quick(**options), key))
        return clients[-1]

    yield open_client
    for client in clients:
        if not getattr(client, "_loop", None) or not client._loop.is_closed():  # type: ignore[union-attr]
            client.close(0)


def first(*behaviours: Behaviour) -> Callable[[list[Event]], Behaviour]:
    """A plan: these behaviours in order, then acceptance."""
    left = list(behaviours)
    return lambda events: left.pop(0) if left else ACCEPT


def test_events_arrive_with_their_fields(ingest: ScriptedIngest, opened: Opener) -> None:
    client = opened()
    event_id = client.record(actor="usr_1", run="conv_1", labels={"cost_center": "4711"}, surface="web")
    assert client.flush()
    event = ingest.stored[event_id]
    assert event["subject"] == "org_acme"
    assert event["data"] == {
        "product": "assistant", "feature_kind": "tool", "feature": "jira", "credits": "1", "surface": "web",
        "actor": {"id": "usr_1"}, "run": {"id": "conv_1"}, "labels": {"cost_center": "4711"},
    }  # fmt: skip
    [headers] = ingest.headers
    assert headers["Authorization"] == "Bearer fc_test"
    assert headers["Content-Type"] == "application/cloudevents-batch+json"


@pytest.mark.parametrize(
    "failure",
    [CLOSE, STORE_AND_CLOSE, NOT_A_RECEIPT, refuse(503), refuse(429, Retry_After="0"), refuse(500), refuse(408), SLOW, CUT,
     page(403), page(400), page(401), page(200), refuse(503, Retry_After="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")],
)  # fmt: skip
def test_after_a_failure_the_same_events_are_sent_again(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str], failure: Behaviour
) -> None:
    expected_errors.append("sent again")
    ingest.plan = first(failure, failure)
    client = opened(answer_s=0.3)
    ids = {client.record() for _ in range(20)}
    assert client.flush()
    assert ingest.ids == ids
    assert len(ingest.requests) >= 3
    assert ingest.requests[0] == ingest.requests[1] == ingest.requests[2]
    stats = client.stats()
    assert (stats.accepted, stats.retries, stats.queued) == (20, 2, 0)


def test_retry_after_is_waited_for(ingest: ScriptedIngest, opened: Opener) -> None:
    ingest.plan = first(refuse(503, Retry_After="1"))
    client = opened()
    began = time.monotonic()
    client.record()
    assert client.flush()
    assert 1 <= time.monotonic() - began < 4


def test_a_service_that_cannot_be_reached_gets_the_events_later(opened: Opener) -> None:
    with scripted_ingest() as gone:
        url = gone.url
    client = opened(url)
    event_id = client.record()
    assert not client.flush(0.2)
    assert client.stats().queued == 1
    with scripted_ingest(gone.port) as back:
        assert client.flush()
        assert back.ids == {event_id}


def test_a_batch_that_is_too_large_is_split_until_it_fits(ingest: ScriptedIngest, opened: Opener) -> None:
    ingest.events_max = 3
    client = opened(batch_events=20, batch_age_s=5)
    ids = [client.record() for _ in range(20)]
    assert client.flush()
    assert list(ingest.stored) == ids
    assert set(ingest.copies.values()) == {1}


def test_batches_have_at_most_their_number_and_bytes(ingest: ScriptedIngest, opened: Opener) -> None:
    client = opened(batch_events=4, batch_bytes=1000, batch_age_s=5)
    for _ in range(10):
        client.record()
    for _ in range(5):
        client.record("x" * 600)
    assert client.flush()
    assert all(len(events) <= 3 for events in ingest.requests)
    assert max(len(events) for events in ingest.requests) == 3
    assert [len(events) for events in ingest.requests[-4:]] == [1, 1, 1, 1]


def test_rejected_events_are_reported_and_the_others_are_accepted(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    expected_errors.append("1 of 2 events were rejected; the first is .*: no at /data/feature")
    ingest.refused_features = frozenset(["bad"])
    reported: list[Rejected] = []
    client = opened(on_rejected=reported.append, batch_events=2, batch_age_s=5)
    good, bad = client.record("good"), client.record("bad")
    assert client.flush()
    assert ingest.ids == {good}
    [rejected] = reported
    assert (rejected.id, rejected.reason, rejected.pointer, rejected.detail) == (
        bad,
        Reason.REJECTED,
        "/data/feature",
        "no",
    )
    assert rejected.event["data"]["feature"] == "bad"
    assert (client.stats().accepted, client.stats().rejected) == (1, 1)


def test_a_callback_that_fails_stops_nothing(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    expected_errors += ["on_rejected failed", "were rejected"]
    ingest.refused_features = frozenset(["bad"])

    def fail(rejected: Rejected) -> None:
        raise LookupError("my own defect")

    client = opened(on_rejected=fail)
    client.record("bad")
    assert client.flush()
    good = client.record("good")
    assert client.flush()
    assert good in ingest.ids


def test_sys_exit_in_a_callback_does_not_end_the_sending(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    expected_errors += ["on_rejected failed", "were rejected"]
    ingest.refused_features = frozenset(["bad"])
    client = opened(on_rejected=lambda rejected: sys.exit(3))
    client.record("bad")
    assert client.flush()
    good = client.record("good")
    assert client.flush()
    assert good in ingest.ids


def test_an_event_that_is_refused_blocks_nothing_behind_it(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    """Also one that the service cannot read, or that is too large: its batch is split."""
    expected_errors += ["were rejected"] * 2
    for status in (400, 413):
        ingest.plan = lambda events, status=status: (  # type: ignore[misc]
            refuse(status) if any(event["data"]["feature"] == "poison" for event in events) else ACCEPT
        )
        reported: list[Rejected] = []
        client = opened(on_rejected=reported.append, batch_events=8, batch_age_s=5)
        ids = [client.record("poison" if number == 5 else "good") for number in range(24)]
        assert client.flush()
        assert [each.id for each in reported] == [ids[5]]
        assert str(status) in reported[0].detail
        assert set(ids) - ingest.ids == {ids[5]}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_with_a_clear_error(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str], status: int
) -> None:
    expected_errors += ["sending has stopped: the API key was refused", "not delivered"]
    ingest.plan = lambda events: refuse(status)
    reported: list[Rejected] = []
    client = opened(on_rejected=reported.append)
    event_id = client.record()
    with pytest.raises(SendingStopped, match="the API key was refused"):
        client.flush()
    assert reported[0].id == event_id
    assert reported[0].reason is Reason.UNDELIVERED
    with pytest.raises(SendingStopped) as caught:
        client.record()
    assert caught.value.status == status
    assert "the API key was refused" in client.stats().stopped


def test_a_refused_key_leaves_the_events_in_the_spool(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str], tmp_path: Any
) -> None:
    expected_errors.append("sending has stopped")
    ingest.plan = lambda events: refuse(401)
    client = opened(spool=tmp_path)
    ids = {client.record()}
    with pytest.raises(SendingStopped):
        client.flush()
    ids.add(client.record())  # still taken: the next process has another key
    client.close()
    ingest.plan = lambda events: ACCEPT
    assert opened(spool=tmp_path).flush()
    assert ingest.ids == ids


@pytest.mark.parametrize(
    ("options", "error"), [({"overflow": "raise"}, QueueFull), ({"overflow": "block", "block_s": 0.05}, QueueFull)]
)
def test_a_full_queue_raises(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str], options: dict[str, Any], error: type[Exception]
) -> None:
    expected_errors.append("not delivered")
    ingest.plan = lambda events: refuse(503)
    client = opened(queue_events=3, **options)
    for _ in range(3):
        client.record()
    with pytest.raises(error):
        client.record()
    assert (client.stats().recorded, client.stats().dropped) == (3, 0)


def test_a_full_queue_drops_counts_and_reports(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    expected_errors += ["the queue is full", "not delivered"]
    ingest.plan = lambda events: refuse(503)
    reported: list[Rejected] = []
    client = opened(queue_events=3, overflow="drop", on_rejected=reported.append)
    ids = [client.record() for _ in range(5)]
    assert [each.id for each in reported] == ids[3:]
    assert {each.reason for each in reported} == {Reason.DROPPED}
    assert (client.stats().recorded, client.stats().dropped) == (3, 2)


def test_a_full_queue_blocks_until_there_is_room(ingest: ScriptedIngest, opened: Opener) -> None:
    ingest.plan = first(*[refuse(503)] * 3)
    client = opened(queue_events=3)
    ids = {client.record() for _ in range(10)}
    assert client.flush()
    assert ingest.ids == ids


def test_close_sends_the_rest(ingest: ScriptedIngest, opened: Opener) -> None:
    client = opened(batch_age_s=60)
    ids = {client.record() for _ in range(1200)}
    assert client.close()
    assert ingest.ids == ids


def test_close_reports_what_was_not_answered_in_time(
    ingest: ScriptedIngest, opened: Opener, expected_errors: list[str]
) -> None:
    expected_errors.append("3 events were not delivered")
    ingest.plan = lambda events: refuse(503, Retry_After="60")
    reported: list[Rejected] = []
    client = opened(on_rejected=reported.append)
    ids = [client.record() for _ in range(3)]
    began = time.monotonic()
    assert not client.close(0.3)
    assert time.monotonic() - began < 3
    assert [each.id for each in reported] == ids
    assert {each.reason for each in reported} == {Reason.UNDELIVERED}


def test_a_closed_client_takes_nothing(opened: Opener) -> None:
    client = Client("http://127.0.0.1:1", "fc_test", "/p")
    assert client.close()
    assert client.close()
    with pytest.raises(ClientClosed):
        client.record("org_acme", "assistant", "tool", "jira", credits="1")


def test_values_that_no_service_takes_are_refused_at_once(opened: Opener) -> None:
    client = opened()
    with pytest.raises(InvalidUsage):
        client.record(credits=1.5)
    assert client.stats().recorded == 0


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("ingest.example.com", "fc_x"),
        ("ftp://x", "fc_x"),
        ("http://x", ""),
        ("http://x", "fc_x\n"),
        ("http://x", "fc_ä"),
    ],
)
def test_a_wrong_address_or_key_is_refused_at_the_start(url: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"address|key"):
        Client(url, key, "/p")


@pytest.mark.parametrize("source", ["", None])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_missing_source_is_refused_at_the_start(kind: type[Client | AsyncClient], source: Any) -> None:
    with pytest.raises(ValueError, match="source is the URI reference"):
        kind("http://x", "fc_x", source)


@pytest.mark.parametrize("option", [{"batch_events": 0}, {"answer_s": -1}, {"overflow": "forget"}])
def test_wrong_options_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Options(**option)


def test_large_bodies_are_compressed_unless_it_is_switched_off(ingest: ScriptedIngest, opened: Opener) -> None:
    for use_gzip in (True, False):
        client = opened(gzip=use_gzip, batch_age_s=5)
        for _ in range(10):
            client.record()
        assert client.flush()
    assert [headers.get("Content-Encoding") for headers in ingest.headers] == ["gzip", None]


def test_flush_in_a_callback_fails_instead_of_waiting_for_itself(
    ingest: ScriptedIngest, expected_errors: list[str]
) -> None:
    expected_errors += ["on_rejected failed", "were rejected"]
    ingest.refused_features = frozenset(["bad"])
    seen: list[BaseException] = []

    def flush(rejected: Rejected) -> None:
        try:
            client.flush(5)
        except RuntimeError as error:
            seen.append(error)
            raise

    client = Client(ingest.url, "fc_test", "/p", quick(on_rejected=flush))
    client.record("org_acme", "assistant", "tool", "bad", credits="1")
    assert client.flush(10)
    assert client.close()
    assert "wait for itself" in str(seen[0])


def test_close_says_the_same_each_time(ingest: ScriptedIngest, opened: Opener, tmp_path: Any) -> None:
    ingest.plan = lambda events: refuse(503)
    for spool, is_done in ((tmp_path, False), (None, True)):
        client = Client(ingest.url, "fc_test", "/p", quick(spool=spool))
        if spool:
            client.record("org_acme", "assistant", "tool", "jira", credits="1")
        assert [client.close(0.1), client.close(0.1)] == [is_done, is_done]


BEHAVIOURS = [ACCEPT, CLOSE, STORE_AND_CLOSE, NOT_A_RECEIPT, refuse(503), refuse(413), refuse(404)]


@settings(max_examples=15)
@given(
    plan=st.lists(st.sampled_from(BEHAVIOURS), max_size=12),
    features=st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=30),
    batch_events=st.integers(1, 10), kind=st.sampled_from([Threaded, InLoop]), close_s=st.sampled_from([0.0, 5.0]),
)  # fmt: skip
def test_whatever_fails_each_event_is_accepted_or_reported(
    plan: list[Behaviour], features: list[str], batch_events: int, kind: type[Threaded | InLoop], close_s: float
) -> None:
    with scripted_ingest() as server:
        server.plan = first(*plan)
        server.refused_features = frozenset(["bad"])
        reported: dict[str, Rejected] = {}
        options = quick(
            batch_events=batch_events, on_rejected=lambda each: reported.setdefault(each.id, each), queue_events=5
        )
        client = kind(server.url, options)
        ids = [client.record(feature) for feature in features]
        is_done = client.close(close_s)
        assert server.ids <= set(ids)
        assert set(ids) == server.ids | set(reported)
        stats = client.stats()
        assert stats.recorded == len(ids) == stats.accepted + stats.rejected + stats.undelivered
        assert is_done == (stats.undelivered == 0)
        if is_done and refuse(413) not in plan:
            assert len(server.ids) == features.count("good")


@pytest.fixture(autouse=True)
def reports_of_the_property(request: pytest.FixtureRequest, expected_errors: list[str]) -> None:
    if "whatever_fails" in request.node.name:
        expected_errors += ["rejected", "not delivered", "sent again"]


def test_one_client_serves_many_threads(ingest: ScriptedIngest) -> None:
    with Client(ingest.url, "fc_test", "/p", quick(queue_events=50)) as client:
        ids: list[str] = []

        def record() -> None:
            for _ in range(100):
                ids.append(client.record("org_acme", "assistant", "tool", "jira", credits="1"))

        threads = [threading.Thread(target=record) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(ids) == 800
    assert ingest.ids == set(ids)
    assert set(ingest.copies.values()) == {1}


def test_an_async_client_survives_its_loop(ingest: ScriptedIngest) -> None:
    client = AsyncClient(ingest.url, "fc_test", "/p", quick(batch_age_s=60))

    async def record() -> str:
        return await client.record("org_acme", "assistant", "tool", "jira", credits="1")

    ids = {asyncio.run(record()) for _ in range(2)}
    client.close_at_exit()
    assert ingest.ids == ids
