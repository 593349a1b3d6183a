"""Faust's stream on real Kafka, and a watchdog that detects when it has stopped."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from alerter.faust.app import build_app
from alerter.faust.stream import Streams, read_organizations
from alerter.faust.watchdog import Watchdog
from alerter.settings import Settings
from prometheus_client import CollectorRegistry
from runtime.kafka.clients import open_consumer, open_producer
from runtime.postgres.pool import Pool
from support.data.table_rows import TableRows
from support.infra.service_process import alerter_environment, eventually, free_port
from support.infra.stack import Database, Topics
from support.services.alerter import make_customer

STALL_S = 1.0


@asynccontextmanager
async def watched(
    database: Database, topics: Topics, pool: Pool, evaluate: Callable[[Sequence[int]], Awaitable[object]], **more: str
) -> AsyncIterator[tuple[Streams, Watchdog, list[str]]]:
    """A running application with the test's evaluation function; reasons of its end are appended to the list."""
    environment = alerter_environment(database, topics, free_port(), PROBE_PORT="0", **more)
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    app, reasons = build_app(settings, CollectorRegistry()), []
    streams = Streams(app, topics.totals, pool, evaluate, reasons.append)
    async with open_consumer(topics.bootstrap, "watchdog") as consumer:
        await app.start()
        try:
            await eventually(lambda: len(app.consumer.assignment()) == 4, what="partitions")
            yield streams, Watchdog(streams, consumer, STALL_S), reasons
        finally:
            await app.stop()


async def send(topics: Topics) -> None:
    async with open_producer(topics.bootstrap, "test") as producer:
        await producer.send_and_wait(topics.totals, b'{"organization": "org_acme"}', key=b"org_acme")


async def test_finds_nothing_while_messages_are_read(
    database: Database, topics: Topics, pool: Pool, db: TableRows
) -> None:
    acme = await make_customer(db)
    evaluated: list[int] = []

    async def evaluate(numbers: Sequence[int]) -> None:
        evaluated.extend(numbers)

    async with watched(database, topics, pool, evaluate) as (streams, watchdog, reasons):
        for number in range(3):
            await send(topics)
            await eventually(lambda number=number: len(evaluated) > number, what="an evaluation")  # type: ignore[misc]
            assert await watchdog.find_problem() is None
        await asyncio.sleep(STALL_S * 1.5)
        assert await watchdog.find_problem() is None, "an idle topic is no stall"
        assert set(evaluated) == {acme.number}
        assert sum(streams.applied.values()) == 3
    assert reasons == []


async def test_finds_a_stream_that_stands_still_while_its_log_goes_on(
    database: Database, topics: Topics, pool: Pool, db: TableRows
) -> None:
    await make_customer(db)
    stuck = asyncio.Event()

    async def evaluate(_: Sequence[int]) -> None:
        await stuck.wait()

    async with watched(database, topics, pool, evaluate) as (_, watchdog, _):
        assert await watchdog.find_problem() is None
        await send(topics)
        found: list[str] = []

        async def finds() -> bool:
            found.append(await watchdog.find_problem() or "")
            return "the stream stands at 0 of 1" in found[-1]

        await eventually(finds, within_s=10, what="the stall")
        stuck.set()
    assert topics.totals in found[-1]


async def test_gives_up_when_the_stream_fails_or_ends(
    database: Database, topics: Topics, pool: Pool, db: TableRows, expected_errors: list[str]
) -> None:
    await make_customer(db)
    expected_errors.append("the stream failed")

    async def evaluate(_: Sequence[int]) -> None:
        raise KeyError("a defect")

    async with watched(database, topics, pool, evaluate) as (_, watchdog, reasons):
        await send(topics)
        await eventually(lambda: len(reasons) == 2, what="both reasons")
        assert reasons == ["the stream failed", "the stream ended"]

        async def finds() -> bool:
            return await watchdog.find_problem() == "the stream has no living task"

        await eventually(finds, what="the dead stream")


async def test_finds_a_timer_that_stopped(database: Database, topics: Topics, pool: Pool) -> None:
    async def evaluate(_: Sequence[int]) -> None:
        """Nothing."""

    async with watched(database, topics, pool, evaluate) as (streams, watchdog, _):
        streams.ticked["sweep"] = time.monotonic() - STALL_S - 3, 2.0
        assert await watchdog.find_problem() == "the timer sweep was last done 4 s ago"


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"7", b"null", b"{}", b'{"organization": 7}', b'{"organization": "a\\u0000b"}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_a_message_that_names_no_organization_is_passed_over(value: bytes | None) -> None:
    assert read_organizations([value, b'{"organization": "org_acme"}']) == {"org_acme"}
