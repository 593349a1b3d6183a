"""What each answer means for the events of a batch."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from flexcredits_client.delivery.answers import Answer, NoAnswer, Refusal, Resolved, Retry, Split, Stop, read_answer
from flexcredits_client.delivery.steps import Backoff
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 30, tzinfo=UTC)
OURS = {"type": "/problems/invalid-events", "detail": "x"}
TWO = [
    {"index": 1, "id": "b", "pointer": "/data", "detail": "no"},
    {"index": 0, "id": "a", "pointer": "", "detail": "no"},
]


def read(status: int, body: Any = b"", headers: Mapping[str, str] | None = None, count: int = 2) -> Any:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(Answer(status, headers or {}, encoded), count, NOW)


def test_a_receipt_resolves_the_batch() -> None:
    assert read(202, {"accepted": 2, "rejected": []}) == Resolved([])
    assert read(200, {"accepted": 2, "rejected": []}) == Resolved([])
    assert read(207, {"accepted": 1, "rejected": TWO[:1]}) == Resolved([Refusal(1, "/data", "no")])
    assert read(202, {"accepted": 1, "rejected": [], "duplicates": 1}) == Resolved([])
    assert read(202, {"accepted": 1, "rejected": TWO[:1]}) == Resolved([Refusal(1, "/data", "no")])


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"<html>", [], {}, {"accepted": 3, "rejected": []}, {"accepted": 2}, {"accepted": "2", "rejected": []},
     {"accepted": 1, "rejected": [{"index": 2}]}, {"accepted": 0, "rejected": [{"index": 0}, {"index": 0}]},
     {"accepted": 1, "rejected": [None]}, b"[" * 100_000, {"accepted": True, "rejected": TWO[:1]},
     {"accepted": 1, "rejected": [{"index": False}]}, {"errors": [], "results": []}],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 202, 207])
def test_a_success_without_a_receipt_for_this_batch_is_retried(body: Any, status: int) -> None:
    verdict = read(status, body)
    assert isinstance(verdict, Retry)
    assert verdict.is_unusual


@pytest.mark.parametrize("status", [403, 422])
def test_events_that_are_refused_one_by_one_do_not_stop_the_others(status: int) -> None:
    assert read(status, {**OURS, "rejected": TWO}) == Resolved([Refusal(1, "/data", "no"), Refusal(0, "", "no")])


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops(status: int) -> None:
    verdict = read(status, {**OURS, "detail": "send a valid API key"})
    assert isinstance(verdict, Stop)
    assert (verdict.status, "send a valid API key" in verdict.detail) == (status, True)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_that_cannot_be_taken_is_split(status: int) -> None:
    assert isinstance(read(status, OURS), Split)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
@pytest.mark.parametrize(
    "body",
    [b"RBAC: access denied", b"<html>The plain HTTP request was sent to HTTPS port</html>", {"message": "Forbidden"},
     {"type": "about:blank", "rejected": TWO}],
)  # fmt: skip
def test_a_refusal_by_something_in_between_drops_nothing(status: int, body: Any) -> None:
    """A firewall, a service mesh, or an address with the wrong scheme: the events are as good as before."""
    verdict = read(status, body)
    assert isinstance(verdict, Retry)
    assert verdict.is_unusual


def test_a_proxys_limit_splits_the_batch_too() -> None:
    assert isinstance(read(413, b"<html>413 Request Entity Too Large</html>"), Split)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_temporary_answers_are_retried(status: int) -> None:
    verdict = read(status)
    assert isinstance(verdict, Retry)
    assert not verdict.is_unusual


@pytest.mark.parametrize("status", [200, 204, 301, 302, 404, 405, 409, 415])
def test_answers_that_ingest_never_gives_are_retried_and_logged_as_errors(status: int) -> None:
    verdict = read(status)
    assert isinstance(verdict, Retry)
    assert verdict.is_unusual


def test_no_answer_is_retried() -> None:
    assert read_answer(NoAnswer("connection refused"), 2, NOW) == Retry(None, "connection refused", is_unusual=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), (" 0 ", 0.0), (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
     (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("٣", None),
     ("9" * 400, math.inf), ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None), ("Mon, 30 Nov 2026 99:00:00 GMT", None),
     ("Mon, 30 Nov 2026 00:00:30", 30.0), ("Mon, 30 Nov 2026 00:00:30 +99999999", None), ("Mon, 30 Feb 2026 00:00:30 GMT", None)],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date(status: int, text: str, seconds: float | None) -> None:
    verdict = read(status, headers={"retry-after": text})
    assert isinstance(verdict, Retry)
    assert verdict.after_s == seconds


@given(st.integers(100, 599), st.binary(max_size=200), st.text(max_size=30), st.integers(1, 5))
def test_any_answer_has_a_verdict(status: int, body: bytes, header: str, count: int) -> None:
    read(status, body, {"retry-after": header}, count)


@given(st.integers(1, 10_000), st.none() | st.floats(0, 10_000), st.floats(0, 1))
def test_waits_grow_to_a_limit_and_respect_the_service(attempt: int, after_s: float | None, jitter: float) -> None:
    wait_s = Backoff(0.5, 30, 300, lambda: jitter).wait_s(attempt, after_s)
    if after_s is None:
        limit = min(30, 0.5 * 2 ** min(attempt - 1, 10))
        assert limit / 2 <= wait_s <= limit
    else:
        assert min(after_s, 300) <= wait_s <= min(after_s, 300) + 0.5
