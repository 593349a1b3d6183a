"""Measures how the aggregator's speed and cost change with aggregators, ledger rows, series and organizations."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from flexcredits_cli.embedded.readiness import wait_until_usable
from processes import Servers
from servers import kafka_and_postgres
from support.infra.stack import Database, Topics, copy_template, drop_database, make_template, make_topics

from counting.aggregators import CountingRun, count, read_catalog
from counting.growth_plot import draw
from counting.history import NOTHING, History, add_history
from counting.usage_log import Shape, Truth, fill_catalog, fill_usage

PARTITIONS = 6
"""One, two and three aggregators share them evenly."""
AXES = ("aggregators", "limited", "ledger", "series", "organizations")
AGGREGATORS = (1, 2, 3)
LIMITED = {"BATCH_EVENTS_MAX": "400", "BATCH_INTERVAL_S": "0.2"}
"""2,000 events/s for each aggregator: processor time is left, so only waiting for each other can slow them down."""
LIMITED_EVENTS = 30_000
LEDGER_ROWS = (1_000_000, 3_000_000, 10_000_000, 30_000_000)
HISTORY_DAYS = 30
SERIES = (100, 1_000, 10_000, 60_000, 200_000)
ORGANIZATIONS = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Point:
    """One measurement. `value` is the position on its axis; the other axes have the values of `Shape` and one aggregator.

    Bytes are per event: the growth of the database with its indexes, and the write-ahead log.
    """

    axis: str
    value: int
    events: int
    events_per_second: float
    aggregator_us: float
    postgres_us: float
    kafka_us: float
    memory_mib: float
    database_bytes: float
    wal_bytes: float


def point(axis: str, value: int, run: CountingRun) -> Point:
    aggregator_us, postgres_us, kafka_us = run.cost.us_per_event(run.events)
    return Point(
        axis, value, run.events, round(run.events_per_second), round(aggregator_us, 2), round(postgres_us, 2),
        round(kafka_us, 2), round(max(run.cost.memory_mib)), round(run.database_bytes / run.events, 1),
        round(run.cost.wal_bytes / run.events, 1),
    )  # fmt: skip


async def bench_growth(events: int, axes: Sequence[str], ledger_rows_max: int, output: Path | None) -> None:
    """Measure these axes and print a table; `output` gets the points as JSON, and their plot beside it."""
    points: list[Point] = []
    with kafka_and_postgres() as (bootstrap, server):
        growth = Growth(bootstrap, server, await make_template(server), events)
        async for measured in growth.measure(axes, ledger_rows_max):
            points.append(measured)
            print(f"{measured.axis} {measured.value:,}: {describe(measured)}", flush=True)
    print(table(points))
    print("\n".join(cost_of_growth(points)), flush=True)
    if output:
        output.write_text(json.dumps([asdict(each) for each in points], indent=1) + "\n")
        output.with_suffix(".svg").write_text(draw([asdict(each) for each in points]))


class Log(NamedTuple):
    topics: Topics
    truth: Truth
    template: str
    """A database that knows the log's catalog and has no usage."""


class Growth:
    """The runs of all axes on one broker and Postgres."""

    def __init__(self, bootstrap: str, server: str, template: str, events: int) -> None:
        self._bootstrap = bootstrap
        self._server = server
        self._template = template
        self._events = events
        self._servers = Servers.find(bootstrap, server)

    async def measure(self, axes: Sequence[str], ledger_rows_max: int) -> AsyncIterator[Point]:
        plain = await self._fill(Shape(partitions=PARTITIONS))
        if "aggregators" in axes:
            for aggregators in AGGREGATORS:
                yield point("aggregators", aggregators, await self._count(plain, aggregators=aggregators))
        if "limited" in axes:
            short = await self._fill(Shape(partitions=PARTITIONS), min(self._events, LIMITED_EVENTS))
            for aggregators in AGGREGATORS:
                run = await self._count(short, aggregators=aggregators, settings=LIMITED)
                yield point("aggregators, 2,000/s each", aggregators, run)
        if "ledger" in axes:
            for rows in LEDGER_ROWS:
                if rows <= ledger_rows_max:
                    yield point("ledger rows", rows, await self._count_after(plain, rows))
        if "series" in axes:
            for series in SERIES:
                shape = Shape(organizations=min(300, series // 10), series=series, partitions=PARTITIONS)
                yield point("series", series, await self._count(await self._fill(shape)))
        if "organizations" in axes:
            for organizations in ORGANIZATIONS:
                shape = Shape(organizations=organizations, partitions=PARTITIONS)
                yield point("organizations", organizations, await self._count(await self._fill(shape)))

    async def _fill(self, shape: Shape, events: int = 0) -> Log:
        """Write a log with six partitions, after an aggregator has read its catalog."""
        topics = await make_topics(self._bootstrap)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topics.usage_events: NewPartitions(PARTITIONS)})
        finally:
            await admin.close()
        await wait_until_usable(self._bootstrap, topics.all)
        await fill_catalog(self._bootstrap, topics.catalog, shape)
        template = await copy_template(self._server, self._template)
        without_usage = replace(topics, usage_events=(await make_topics(self._bootstrap)).usage_events)
        seconds = await read_catalog(template, without_usage, shape.organizations)
        print(f"catalog of {shape.organizations:,} organizations read in {seconds:.1f} s, with the start", flush=True)
        truth = await fill_usage(self._bootstrap, topics.usage_events, events or self._events, 1, shape)
        return Log(topics, truth, name_of(template))

    async def _count(
        self, log: Log, *, aggregators: int = 1, history: History = NOTHING, settings: Mapping[str, str] | None = None
    ) -> CountingRun:
        database = await copy_template(self._server, log.template)
        run = await count(
            database, log.topics, log.truth, self._servers, aggregators=aggregators, settings=settings,
            ledger_before=history.rows, credits_before=history.credits,
        )  # fmt: skip
        await drop_database(self._server, name_of(database))
        return run

    async def _count_after(self, log: Log, rows: int) -> CountingRun:
        """Count into a database that has `rows` ledger rows of 30 days before."""
        full = name_of(await copy_template(self._server, log.template))
        try:
            history = await add_history(self._server, full, HISTORY_DAYS, rows)
            return await self._count(log._replace(template=full), history=history)
        finally:
            await drop_database(self._server, full)


def name_of(database: Database) -> str:
    return urlsplit(database.dsn).path.strip("/")


def describe(measured: Point) -> str:
    return (
        f"{measured.events_per_second:,.0f} events/s, {cpu_us(measured):.1f} us of CPU (aggregators {measured.aggregator_us:.1f},"
        f" Postgres {measured.postgres_us:.1f}, Kafka {measured.kafka_us:.1f}), {measured.memory_mib:.0f} MiB,"
        f" {measured.database_bytes:.0f} B in Postgres and {measured.wal_bytes:.0f} B of WAL per event"
    )


def table(points: list[Point]) -> str:
    """The points as a Markdown table for docs/performance.md."""
    lines = [
        "| | events/s | CPU per event: aggregators + Postgres + Kafka, µs | MiB each | MB in Postgres per million events | MB of WAL per million |",
        "|---|---|---|---|---|---|",
    ]
    for each in points:
        cpu = f"{each.aggregator_us:.1f} + {each.postgres_us:.1f} + {each.kafka_us:.1f}"
        lines.append(
            f"| {each.axis} {each.value:,} | {each.events_per_second:,.0f} | {cpu} | {each.memory_mib:.0f}"
            f" | {each.database_bytes:.0f} | {each.wal_bytes:.0f} |"
        )
    return "\n".join(lines)


def cost_of_growth(points: list[Point]) -> Iterator[str]:
    """A line for each axis: what its last step changed, which is what to expect of the next one."""
    for axis in dict.fromkeys(each.axis for each in points):
        before, last = ([each for each in points if each.axis == axis] * 2)[-2:]
        changes = [
            last.events_per_second / before.events_per_second,
            cpu_us(last) / cpu_us(before),
            last.database_bytes / before.database_bytes,
            last.wal_bytes / before.wal_bytes,
        ]
        yield "{}, {:,} to {:,}: events/s x {:.2f}; per event CPU x {:.2f}, bytes in Postgres x {:.2f}, WAL x {:.2f}".format(
            axis, before.value, last.value, *changes
        )


def cpu_us(measured: Point) -> float:
    return measured.aggregator_us + measured.postgres_us + measured.kafka_us
