"""Posts CloudEvents to the ingest API in batches, and repeats a batch with the same ids until it has a response."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import httpx

from flexcredits_cli.terminal.problem import SetupProblem

BATCH_EVENTS = 500
CONNECTIONS = 4
TRIES = 30
BATCH_TYPE = "application/cloudevents-batch+json"


@dataclass
class Answers:
    """Ingest's responses, summed over batches."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Answers") -> None:
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejected += other.rejected


async def send_events(
    ingest_url: str, key: str, events: Iterable[dict[str, Any]], *, on_answer: Callable[[int], None] = lambda _: None
) -> Answers:
    """Send `events` over CONNECTIONS connections. `on_answer` gets each acknowledged batch's size. Raises SetupProblem."""
    async with open_client(ingest_url, key) as client:
        return await send_batches(client, _batches(iter(events)), on_answer=on_answer)


def open_client(ingest_url: str, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": BATCH_TYPE}
    return httpx.AsyncClient(base_url=ingest_url, headers=headers, timeout=30)


async def send_batches(
    client: httpx.AsyncClient,
    batches: Iterable[list[dict[str, Any]]],
    *,
    connections: int = CONNECTIONS,
    on_answer: Callable[[int], None] = lambda _: None,
) -> Answers:
    """Send each batch as one request. A connection sends the next batch after the response to the one before.

    After a 503 the outcome is unknown: the batch is sent again, and its ids prevent double counting.
    Raises SetupProblem if ingest refuses a whole request or stays unavailable.
    """
    answers, rest = Answers(), iter(batches)

    async def post_batches() -> None:
        for batch in rest:
            answers.add(await _post(client, batch))
            on_answer(len(batch))

    await asyncio.gather(*(post_batches() for _ in range(connections)))
    return answers


async def _post(client: httpx.AsyncClient, batch: list[dict[str, Any]]) -> Answers:
    reason = ""
    for _ in range(TRIES):
        wait_s = 1.0
        try:
            response = await client.post("/api/v1/events", content=json.dumps(batch))
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if response.status_code in (202, 422):
                answer = response.json()
                return Answers(answer.get("accepted", 0), answer.get("duplicates", 0), answer.get("rejected", []))
            reason = f"{response.status_code} {response.text}"
            if response.status_code not in (429, 503):
                break
            wait_s = float(response.headers.get("Retry-After", wait_s))
        await asyncio.sleep(wait_s)
    raise SetupProblem(f"the ingest API at {client.base_url} did not accept the events: {reason}")


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, BATCH_EVENTS)):
        yield batch
