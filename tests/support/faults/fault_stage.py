"""Setup for fault tests: its own Postgres behind a proxy, services that are restarted when they end, and a stream of usage."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.errors import KafkaError
from alerter.queues.outbox import LEASE_S
from flexcredits_cli.embedded.postgres import EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.processes.programs import Process
from support.data.usage_source import ALLOWANCES, Source
from support.infra.service_process import ServiceProcess, aggregator_environment, alerter_environment, eventually
from support.infra.stack import Database, Topics, copy_template, make_template
from support.invariants.alerts import find_alert_violations
from support.invariants.log import count_log, find_violations
from support.services.alerter import Script, age
from support.services.ingest import TcpProxy


class FaultyProxy(TcpProxy):
    """Forwards bytes with a delay, and can drop the answer to a COMMIT."""

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url)
        self.delay_s = 0.0
        self.flowing = asyncio.Event()
        """While cleared, the server's answers do not arrive, and no side gets an error."""
        self.flowing.set()
        self.unanswered_commits = 0
        """Number of COMMITs that run but whose connections end before the answer."""

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay_s)
                is_unanswered = self.unanswered_commits > 0 and b"COMMIT;" in data
                if is_unanswered:
                    self.unanswered_commits -= 1
                    client.transport.abort()
                writer.write(data)
                await writer.drain()
                if is_unanswered:
                    await asyncio.sleep(0.2)  # Postgres runs the COMMIT
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
    """The parts of the system that a fault can affect."""

    topics: Topics
    server: EmbeddedPostgres
    process: Process
    database: Database
    proxy: FaultyProxy
    source: Source
    environment: Mapping[str, str]
    """More variables for the services' environment."""
    mailbox: Script
    mail_proxy: TcpProxy
    before: Sequence[str]
    """Arguments before Postgres' command line."""
    aggregators: list[ServiceProcess] = field(default_factory=list)
    alerters: list[ServiceProcess] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    """Logs of processes that ended or were killed."""
    ended: list[ServiceProcess] = field(default_factory=list)
    """These processes."""

    def start(self) -> ServiceProcess:
        environment = aggregator_environment(self.database, self.topics)
        self.aggregators.append(ServiceProcess("aggregator", self._reach("flexcredits_aggregator", environment)))
        return self.aggregators[-1]

    def start_alerter(self) -> ServiceProcess:
        environment = alerter_environment(self.database, self.topics, self.mail_proxy.port, SWEEP_INTERVAL_S="1")
        self.alerters.append(ServiceProcess("alerter", self._reach("flexcredits_alerter", environment)))
        return self.alerters[-1]

    def _reach(self, role: str, environment: Mapping[str, str]) -> dict[str, str]:
        return {**environment, "POSTGRES_DSN": through(self.proxy, self.database.roles[role]), **self.environment}

    async def keep_running(self) -> None:
        """Restart processes that ended, as an orchestrator does."""
        while True:
            await asyncio.sleep(0.5)
            for processes, start in ((self.aggregators, self.start), (self.alerters, self.start_alerter)):
                for process in [each for each in processes if each.exit_code is not None]:
                    processes.remove(process)
                    self.logs.append(process.log)
                    self.ended.append(process)
                    process.forget()
                    start()

    async def restart_postgres(self, number: signal.Signals, down_s: float) -> None:
        """Stop the server by a signal to its main process, and start it after `down_s`."""
        lines = (self.server._data() / "postmaster.pid").read_text().splitlines()
        os.kill(int(lines[0]), number)
        while self.process.exit_code is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(down_s)
        self.process.close()
        self.process = start_server(self.server, self.before)
        await asyncio.to_thread(self.process.wait_ready)

    async def quiesce(self, within_s: float = 60) -> None:
        """Wait until the whole log is applied and its totals are published. Raises AssertionError (O10) after `within_s`."""
        try:
            await until_applied(self.topics, self.database.dsn, within_s)
        except TimeoutError:
            running = [process.log for process in [*self.aggregators, *self.alerters]]
            last = "\n".join(log[-1500:] for log in [*self.logs, *running][-3:])
            raise AssertionError(f"O10: not caught up after {within_s:g} s\n{last}") from None

    async def find_violations(self, copies_max: int) -> list[str]:
        """Violations against the log. Alerts have 40 s to become correct."""
        found = await find_violations(self.topics, self.database.dsn, self.source.acknowledged)
        if not self.alerters:
            return found
        return found + await find_lasting_violations(self.topics, self.database.dsn, self.mailbox, copies_max)


async def until_applied(topics: Topics, dsn: str, within_s: float = 60) -> None:
    """Wait until Postgres has the log's end position and the totals outbox is empty. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            with suppress(OSError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if await count_applied(topics, dsn) == await count_log(topics.bootstrap, topics.usage_events):
                    return
            await asyncio.sleep(0.3)


async def count_applied(topics: Topics, dsn: str) -> int:
    """Records that have a disposition; -1 while totals wait to be published."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        waiting = await connection.fetchval("SELECT count(*) FROM totals_outbox")
        applied = await connection.fetchval(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM partition_progress WHERE topic = $1", topics.usage_events
        )
        return -1 if waiting else int(applied)
    finally:
        await connection.close()


async def find_lasting_violations(topics: Topics, dsn: str, mailbox: Script, copies_max: int) -> list[str]:
    """Violations in alerts that remain after 40 s. Mails that a dead process had claimed are due after LEASE_S,
    which is skipped here."""
    connection = await asyncpg.connect(dsn)
    try:
        for second in range(0, 40, 2):
            found = await find_alert_violations(topics, dsn, mailbox.got, copies_max)
            if not found:
                break
            if second == 4:
                await age(connection, timedelta(seconds=LEASE_S))
            await asyncio.sleep(2)
        await asyncio.sleep(1)  # extra copies of mails would arrive now
        return await find_alert_violations(topics, dsn, mailbox.got, copies_max)
    finally:
        await connection.close()


def start_server(server: EmbeddedPostgres, before: Sequence[str]) -> Process:
    program = server.program()
    return Process(replace(program, argv=[*before, *program.argv]), lambda _name, _line: None)


Fault = Callable[[Stage], Awaitable[None]]


def through(proxy: TcpProxy, dsn: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"))


@asynccontextmanager
async def open_stage(
    topics: Topics,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    alerters: int = 0,
    before: Sequence[str] = (),
    **overrides: str,
) -> AsyncIterator[Stage]:
    """A Postgres with its data in `folder`, an aggregator with three organizations, and alerters, all ready."""
    (port,) = free_ports(1)
    settings = {"shared_buffers": "64MB", "max_wal_size": "256MB", **overrides}
    server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16), settings)
    server.prepare()
    process = start_server(server, before)
    await asyncio.to_thread(process.wait_ready)
    stage = None
    try:
        template = await make_template(server.dsn())
        database = await copy_template(server.dsn(), template)
        mailbox, source = Script(), Source(topics)
        proxy, mail_proxy = FaultyProxy(database.dsn), TcpProxy(f"smtp://127.0.0.1:{mailbox.port}")
        for listener in (proxy.restore, mail_proxy.restore, mailbox.start):
            await listener()
        await source.introduce(ALLOWANCES)
        stage = Stage(topics, server, process, database, proxy, source, environment or {}, mailbox, mail_proxy, before)
        for ready in [stage.start().ready, *(stage.start_alerter().ready for _ in range(alerters))]:
            await eventually(ready, what="readiness")
        orchestrator = asyncio.create_task(stage.keep_running())
        try:
            yield stage
        finally:
            orchestrator.cancel()
            for service in [*stage.aggregators, *stage.alerters]:
                service.forget()
            for stop in (proxy.cut, mail_proxy.cut, mailbox.stop):
                await stop()
    finally:
        process = stage.process if stage else process
        process.kill()
        process.close()


async def endure(stage: Stage, *faults: Fault, seed: int = 1, copies_max: int = 0) -> None:
    """Send usage during the faults, wait until all of it is applied, and compare the tables with the log."""
    streaming = asyncio.create_task(stage.source.pour(seed=seed))
    await asyncio.sleep(1.5)
    for fault in faults:
        await fault(stage)
        await asyncio.sleep(1)
    await streaming
    await stage.quiesce()
    violations = await stage.find_violations(copies_max)
    assert not violations, "\n".join(violations)


async def lose_commits(stage: Stage) -> None:
    """Five COMMITs run, and their answers are lost."""
    for _ in range(5):
        stage.proxy.unanswered_commits = 1
        async with asyncio.timeout(20):
            while stage.proxy.unanswered_commits:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
