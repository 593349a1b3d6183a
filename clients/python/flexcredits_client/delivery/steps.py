"""The delivery of a batch as a series of requests and waits, without doing either: sync and asyncio share it."""

import gzip
import random
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from flexcredits_client.delivery.answers import Answer, NoAnswer, Refusal, Resolved, Retry, Split, Stop, read_answer
from flexcredits_client.errors import SendingStopped

GZIP_FROM_BYTES = 512  # a smaller body hardly shrinks
GZIP_LEVEL = 1  # usage events repeat so much that more effort gains little


class Send(NamedTuple):
    """Send this request. The answer is sent into the generator."""

    body: bytes
    is_gzip: bool


class Wait(NamedTuple):
    """Wait, then send None into the generator."""

    seconds: float
    detail: str
    is_unusual: bool


class Outcomes(Protocol):
    """Who is notified of what became of the events, in the order of the batch."""

    def resolve(self, count: int, refused: Sequence[Refusal]) -> None:
        """The first `count` events that are not resolved yet are accepted, except the refused ones."""


class Backoff(NamedTuple):
    """Exponential backoff with jitter: clients that failed together do not come back together."""

    first_s: float
    max_s: float
    retry_after_max_s: float
    jitter: Callable[[], float] = random.random

    def wait_s(self, attempt: int, after_s: float | None) -> float:
        """Seconds before retry number `attempt`, from 1: at least what the service asked for."""
        limit = min(self.max_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        wait_s = limit * (0.5 + 0.5 * self.jitter())
        if after_s is None:
            return wait_s
        return min(after_s, self.retry_after_max_s) + self.first_s * self.jitter()


Steps = Generator[Send | Wait, Answer | NoAnswer | None, None]


def deliver(batch: Sequence[bytes], use_gzip: bool, backoff: Backoff, outcomes: Outcomes) -> Steps:
    """Send the events until each one is resolved. Retries send the same bytes. Raises SendingStopped."""
    pending = [batch]
    while pending:
        events = pending.pop()
        request, attempt = encode_request(events, use_gzip), 0
        while True:
            answer = yield request
            assert answer is not None
            verdict = read_answer(answer, len(events), datetime.now(UTC))
            match verdict:
                case Resolved(refused):
                    outcomes.resolve(len(events), refused)
                    break
                case Split(detail) if len(events) == 1:
                    outcomes.resolve(1, [Refusal(0, "", detail)])
                    break
                case Split():
                    half = len(events) // 2
                    pending += [events[half:], events[:half]]  # the first half is next, so the order is kept
                    break
                case Stop(status, detail):
                    raise SendingStopped(status, detail)
                case Retry(after_s, detail, is_unusual):
                    attempt += 1
                    yield Wait(backoff.wait_s(attempt, after_s), detail, is_unusual)


def encode_request(events: Sequence[bytes], use_gzip: bool) -> Send:
    """The body of a batch: a JSON array of CloudEvents."""
    body = b"[" + b",".join(events) + b"]"
    if use_gzip and len(body) >= GZIP_FROM_BYTES:
        return Send(gzip.compress(body, GZIP_LEVEL, mtime=0), is_gzip=True)
    return Send(body, is_gzip=False)
