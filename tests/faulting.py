"""A stage for faults: a Postgres of its own behind a proxy, aggregators that are started again when they end, and a stream of usage."""

import asyncio
import json
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka import AIOKafkaProducer
from factories import organization, usage
from flexcredits_local.ports import free_ports
from flexcredits_local.postgres import EmbeddedPostgres
from flexcredits_local.postgres_binaries import find_binaries
from flexcredits_local.processes import Process
from ingesting import TcpProxy
from oracles import find_violations
from runtime.kafka import open_producer
from service_process import ServiceProcess, aggregator_environment, eventually
from stack import Database, Topics, copy_template, make_template

EVENTS, OVER_S = 9_000, 9.0
ORGANIZATIONS = ("org_acme", "org_other", "org_third")
POISON = (b"{", b"", b"\xff", b"null", b'{"type":"flexcredits.usage.v1"}', b"[" * 3000)


class FaultyProxy(TcpProxy):
    """Passes bytes on, as slowly as it is told, and may take the answer to a COMMIT for itself."""

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url)
        self.delay_s = 0.0
        self.flowing = asyncio.Event()
        """Cleared, what the server says does not arrive, and nobody is told so."""
        self.flowing.set()
        self.doubtful_commits = 0
        """So many COMMITs will be carried out, and their connections end before the answer."""

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay_s)
                in_doubt = self.doubtful_commits > 0 and b"COMMIT;" in data
                if in_doubt:
                    self.doubtful_commits -= 1
                    client.transport.abort()
                writer.write(data)
                await writer.drain()
                if in_doubt:
                    await asyncio.sleep(0.2)  # it is carried out
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.flowing.wait()
                await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        writer.close()


@dataclass
class Stage:
    """Everything that a fault may happen to."""

    topics: Topics
    server: EmbeddedPostgres
    process: Process
    database: Database
    proxy: FaultyProxy
    environment: Mapping[str, str]
    """Of the aggregators, beside what they need."""
    aggregators: list[ServiceProcess] = field(default_factory=list)
    sent: int = 0
    """Records that Kafka has acknowledged."""
    acknowledged: set[tuple[str, str, str]] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)

    def start(self) -> ServiceProcess:
        dsn = through(self.proxy, self.database.roles["flexcredits_aggregator"])
        environment = aggregator_environment(self.database, self.topics) | {"POSTGRES_DSN": dsn, **self.environment}
        self.aggregators.append(ServiceProcess("aggregator", environment))
        return self.aggregators[-1]

    async def keep_running(self) -> None:
        """What an orchestrator does: start again, a moment later, what has ended."""
        while True:
            await asyncio.sleep(0.5)
            for process in [each for each in self.aggregators if each.exit_code is not None]:
                self.aggregators.remove(process)
                self.logs.append(process.log)
                process.forget()
                self.start()

    def forget(self, process: ServiceProcess) -> None:
        """It does not come again."""
        self.aggregators.remove(process)
        process.forget()

    async def restart_postgres(self, number: signal.Signals, down_s: float) -> None:
        """End the server by a signal to its main process, and start it again."""
        lines = (self.server._data() / "postmaster.pid").read_text().splitlines()
        os.kill(int(lines[0]), number)
        while self.process.exit_code is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(down_s)
        self.process.close()
        self.process = Process(self.server.program(), lambda _name, _line: None)
        await asyncio.to_thread(self.process.wait_ready)

    async def quiesce(self, within_s: float = 60) -> None:
        """Until all that was sent is applied and told. AssertionError (O10) when that takes too long."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                if await self._applied() == self.sent:
                    return
            if asyncio.get_running_loop().time() > deadline:
                last = "\n".join(
                    log[-1500:] for log in [*self.logs, *(process.log for process in self.aggregators)][-3:]
                )
                raise AssertionError(f"O10: not caught up after {within_s:g} s\n{last}")
            await asyncio.sleep(0.3)

    async def _applied(self) -> int:
        connection = await asyncpg.connect(self.database.dsn, timeout=5)
        try:
            waiting = await connection.fetchval("SELECT count(*) FROM totals_outbox")
            applied = await connection.fetchval(
                "SELECT coalesce(sum(next_offset), 0)::bigint FROM partition_progress WHERE topic = $1",
                self.topics.usage_events,
            )
            return -1 if waiting else int(applied)
        finally:
            await connection.close()

    async def stream(self, events: int, over_s: float, seed: int) -> None:
        """Usage of three organizations: a third is sent again up to four times, to any partition; one in a hundred is poison,
        and one in a hundred contradicts an earlier one of its partition."""
        chance = random.Random(seed)
        async with open_producer(self.topics.bootstrap, "faults") as producer:
            history: list[list[dict[str, Any]]] = [[] for _ in range(4)]
            for start in range(0, events, 100):
                await asyncio.gather(*[
                    future for _ in range(100) for future in await self._send_one(producer, chance, history)
                ])  # fmt: skip
                await asyncio.sleep(over_s * 100 / events * (start < events - 100))

    async def _send_one(
        self, producer: AIOKafkaProducer, chance: random.Random, history: list[list[dict[str, Any]]]
    ) -> list[asyncio.Future[Any]]:
        partition = chance.randrange(4)
        event = usage(
            credits=f"{chance.randint(1, 9_999_999) / 1_000_000:.6f}", feature=f"feature_{chance.randrange(20)}",
            product=chance.choice(["assistant", "agents"]), envelope={"subject": chance.choice(ORGANIZATIONS)},
        )  # fmt: skip
        sends: list[tuple[int, bytes]] = [(partition, json.dumps(event).encode())]
        if chance.random() < 0.3:
            sends += [(chance.randrange(4), sends[0][1]) for _ in range(chance.randint(1, 4))]
        elif history[partition] and chance.random() < 0.014:
            before = chance.choice(history[partition])
            sends.append((partition, json.dumps({**before, "data": {**before["data"], "credits": "77"}}).encode()))
        else:
            history[partition].append(event)
        if chance.random() < 0.01:
            sends.append((partition, chance.choice(POISON)))
        self.sent += len(sends)
        self.acknowledged.add((event["subject"], event["source"], event["id"]))
        return [await producer.send(self.topics.usage_events, value, partition=at) for at, value in sends]


Fault = Callable[[Stage], Awaitable[None]]


def through(proxy: TcpProxy, dsn: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"))


@asynccontextmanager
async def open_stage(
    topics: Topics, folder: Path, environment: Mapping[str, str] | None = None, **overrides: str
) -> AsyncIterator[Stage]:
    """A Postgres whose data lies in `folder`, and one aggregator that knows three organizations and is ready."""
    (port,) = free_ports(1)
    settings = {"shared_buffers": "64MB", "max_wal_size": "256MB", **overrides}
    server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16), settings)
    server.prepare()
    process = Process(server.program(), lambda _name, _line: None)
    await asyncio.to_thread(process.wait_ready)
    stage = None
    try:
        template = await make_template(server.dsn())
        database = await copy_template(server.dsn(), template)
        proxy = FaultyProxy(database.dsn)
        await proxy.mend()
        async with open_producer(topics.bootstrap, "faults") as producer:
            for name in ORGANIZATIONS:
                await producer.send_and_wait(topics.catalog, json.dumps(organization(name)).encode(), partition=0)
        stage = Stage(topics, server, process, database, proxy, environment or {})
        await eventually(stage.start().ready, what="readiness")
        orchestrator = asyncio.create_task(stage.keep_running())
        try:
            yield stage
        finally:
            orchestrator.cancel()
            for aggregator in list(stage.aggregators):
                stage.forget(aggregator)
            await proxy.cut()
    finally:
        process = stage.process if stage else process
        process.kill()
        process.close()


async def endure(stage: Stage, *faults: Fault, seed: int = 1) -> None:
    """Stream while the faults happen, let everything settle, and hold the tables to the log."""
    streaming = asyncio.create_task(stage.stream(EVENTS, OVER_S, seed))
    await asyncio.sleep(1.5)
    for fault in faults:
        await fault(stage)
        await asyncio.sleep(1)
    await streaming
    await stage.quiesce()
    violations = await find_violations(stage.topics, stage.database.dsn, stage.acknowledged)
    assert not violations, "\n".join(violations)


async def lose_commits(stage: Stage) -> None:
    """Five COMMITs are carried out, and nobody hears of it."""
    for _ in range(5):
        stage.proxy.doubtful_commits = 1
        async with asyncio.timeout(20):
            while stage.proxy.doubtful_commits:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
