"""Whatever fails in whatever order: each recorded event is accepted once, or reported, and has one id."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from flexcredits_client import Options, Reason, Rejected, SendingStopped
from flexcredits_client.delivery.answers import Answer, NoAnswer, Refusal
from flexcredits_client.delivery.http import drive
from flexcredits_client.delivery.steps import Backoff, Send, Wait, deliver
from flexcredits_client.event import amount_of, encode_event
from flexcredits_client.outbox import Outbox
from hypothesis import given
from hypothesis import strategies as st

BACKOFF = Backoff(0.5, 30, 300)
FAULTS = ["lost request", "lost answer", "503", "429", "404", "500", "page", "none"]


@pytest.fixture(autouse=True)
def reports(expected_errors: list[str]) -> None:
    expected_errors.append("rejected|not delivered")


class Service:
    """What ingest does with a request, behind a network that fails as the script says; then it works."""

    def __init__(self, faults: Sequence[str], refused: frozenset[str], events_max: int, key_works_until: int) -> None:
        self._faults, self._refused = list(reversed(faults)), refused
        self._events_max, self._key_works_until = events_max, key_works_until
        self.stored: dict[str, Any] = {}
        self.copies: Counter[str] = Counter()
        self.requests = 0

    def send(self, request: Send) -> Answer | NoAnswer:
        self.requests += 1
        body = gzip.decompress(request.body) if request.is_gzip else request.body
        fault = self._faults.pop() if self._faults else "none"
        if fault == "lost request":
            return NoAnswer("no connection")
        if fault == "page":
            return Answer(202, {}, b"<html>")
        if fault.isdecimal():
            return Answer(int(fault), {"retry-after": "3"}, b"")
        answer = self._take(json.loads(body))
        return NoAnswer("the connection was lost") if fault == "lost answer" else answer

    def _take(self, events: list[dict[str, Any]]) -> Answer:
        if self.requests > self._key_works_until:
            return Answer(401, {}, b'{"type": "/problems/unauthorized", "detail": "revoked"}')
        if len(events) > self._events_max:
            return Answer(413, {}, b"")
        rejected = []
        for index, event in enumerate(events):
            if event["data"]["feature"] in self._refused:
                rejected.append({"index": index, "pointer": "/data/feature", "detail": "no"})
                continue
            assert self.stored.setdefault(event["id"], event) == event, "a retry is a copy"
            self.copies[event["id"]] += 1
        status = 422 if len(rejected) == len(events) else 202
        document = {
            "type": "/problems/invalid-events",
            "accepted": len(events) - len(rejected),
            "rejected": rejected,
        }
        return Answer(status, {}, json.dumps(document).encode())


class Outcomes:
    """Passes outcomes on to an outbox, and keeps what is reported."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.reported: list[Rejected] = []

    def resolve(self, count: int, refused: Sequence[Refusal]) -> None:
        self.reported += self._outbox.resolve(count, refused)


@pytest.mark.parametrize("is_durable", [False, True])
@given(
    features=st.lists(st.sampled_from("abc"), min_size=1, max_size=30),
    faults=st.lists(st.sampled_from(FAULTS), max_size=12),
    refused=st.frozensets(st.sampled_from("abc"), max_size=2),
    events_max=st.integers(0, 10), batch_events=st.integers(1, 12),
    key_works_until=st.sampled_from([3, 1000]), waits=st.integers(0, 20), use_gzip=st.booleans(),
)  # fmt: skip
def test_each_event_is_accepted_or_reported_under_its_one_id(
    is_durable: bool,
    features: list[str],
    faults: list[str],
    refused: frozenset[str],
    events_max: int,
    batch_events: int,
    key_works_until: int,
    waits: int,
    use_gzip: bool,
) -> None:
    with ExitStack() as stack:
        spool = Path(stack.enter_context(TemporaryDirectory())) if is_durable else None
        outbox = Outbox(Options(batch_events=batch_events, spool=spool))
        service, outcomes = Service(faults, refused, events_max, key_works_until), Outcomes(outbox)
        recorded = {}
        for feature in features:
            amount = amount_of("1", None, None, None)
            event_id, event = encode_event("/p", "org", "assistant", "tool", feature, amount, {})
            outbox.add(event, 0)
            recorded[event_id] = feature
        waited = 0

        def wait(step: Wait) -> bool:
            nonlocal waited
            waited += 1
            return waited <= waits

        try:
            while (batch := outbox.batch()) and drive(deliver(batch, use_gzip, BACKOFF, outcomes), service.send, wait):
                pass
        except SendingStopped:
            assert service.requests > key_works_until
        reported = outcomes.reported + outbox.give_up("the test is over")
        stats = outbox.stats()
        outbox.close()
        refused_ids = {each.id for each in reported if each.reason is Reason.REJECTED}
        undelivered = {each.id for each in reported if each.reason is Reason.UNDELIVERED}
        left = [json.loads(event)["id"] for event in left_in(spool)]
        assert len(reported) == len(refused_ids) + len(undelivered), "nothing is reported twice"
        assert service.stored.keys() <= recorded.keys(), "no second id"
        assert set(recorded) - service.stored.keys() <= refused_ids | undelivered | set(left), "nothing is lost"
        assert not refused_ids & service.stored.keys()
        assert stats.recorded == len(recorded) == stats.accepted + stats.rejected + stats.undelivered + stats.queued
        assert (stats.queued > 0) <= is_durable
        assert stats.accepted <= len(service.stored)
        if waited <= waits and key_works_until == 1000:
            assert stats.accepted + stats.rejected == len(recorded)
            if events_max:
                assert refused_ids == {event_id for event_id, feature in recorded.items() if feature in refused}


def left_in(spool: Path | None) -> list[bytes]:
    """The events that the next process finds."""
    if spool is None:
        return []
    following = Outbox(Options(spool=spool, batch_events=10_000))
    events = following.batch()
    following.close()
    return events


def test_halves_are_sent_in_order() -> None:
    service = Service([], frozenset(), events_max=1, key_works_until=1000)
    outbox = Outbox(Options())
    for number in range(7):
        outbox.add(encode_event("/p", "org", "assistant", "tool", "a", {"credits": "1"}, {"id": str(number)})[1], 0)
    assert drive(deliver(outbox.batch(), True, BACKOFF, Outcomes(outbox)), service.send, lambda wait: False)
    assert list(service.stored) == [str(number) for number in range(7)]
    assert outbox.is_empty
