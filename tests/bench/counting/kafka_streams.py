"""Builds the Kafka Streams peer of tests/bench/kafka_streams, and lets it count a filled topic."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import asyncpg
from flexcredits_cli.machine.state_folder import state_folder
from processes import Cost, Servers, own_cpu, peak_memory_mib
from support.infra.stack import throwaway_folder, with_database

from counting.usage_log import Truth

SOURCES = Path(__file__).parents[1] / "kafka_streams"
SUMS = "SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(credits), 0) AS credits FROM rollup"
POLL_S = 0.25
STANDS_STILL_S = 30.0
STAYS_S = 1.0
HEAP = "-Xmx1g"


class PeerMissing(Exception):
    """Why the peer cannot be built on this machine."""


@dataclass(frozen=True)
class PeerRun:
    """`events_per_second` is from the first event to the exact result in Postgres; `cost` is with the start of the process."""

    events: int
    seconds: float
    is_exact: bool
    cost: Cost

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    def describe(self) -> str:
        exact = "exact" if self.is_exact else "NOT exact"
        return f"{self.events_per_second:,.0f} events/s; {self.cost.describe(self.events)}; {exact}"


def build() -> list[str]:
    """The command of the peer. Raises PeerMissing without Maven or a JDK."""
    java = java_of_the_jdk()
    maven = shutil.which("mvn")
    if maven is None or java is None:
        missing = " and ".join(name for name, found in (("Maven (mvn)", maven), ("a JDK (javac)", java)) if not found)
        raise PeerMissing(f"{missing} not found")
    out = state_folder().root / "kafka-streams"
    stamp = out / "built"
    newest = max(path.stat().st_mtime for path in SOURCES.rglob("*") if path.is_file())
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        print("building Kafka Streams with Maven; the first time takes a minute", flush=True)
        done = subprocess.run(
            [maven, "-q", "-B", "-f", str(SOURCES / "pom.xml"), f"-Dout={out}", "package"],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"Maven could not build the peer:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        stamp.touch()
    class_path = f"{out / 'classes'}:{out / 'lib'}/*"
    return [str(java), HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path, "peer.Main"]


def java_of_the_jdk() -> Path | None:
    """The `java` beside JAVA_HOME's or the PATH's compiler."""
    home = os.environ.get("JAVA_HOME")
    compiler = shutil.which("javac", path=f"{home}/bin") if home else None
    compiler = compiler or shutil.which("javac")
    return Path(compiler).resolve().with_name("java") if compiler else None


async def count_with_peer(
    command: list[str],
    server: str,
    bootstrap: str,
    topic: str,
    truth: Truth,
    servers: Servers,
    *,
    within_s: float = 900,
) -> PeerRun:
    """Count the topic from its beginning into an empty database."""
    name = f"peer_{secrets.token_hex(4)}"
    administrator = await asyncpg.connect(server)
    await administrator.execute(f"CREATE DATABASE {name}")
    database = await asyncpg.connect(with_database(server, name))
    try:
        await database.execute((SOURCES / "schema.sql").read_text())
        await database.execute("CHECKPOINT")
        written, servers_before = await database.fetchval("SELECT pg_current_wal_lsn()"), servers.cpu()
        watcher = await database.fetchval("SELECT pg_backend_pid()")
        watched_before = own_cpu(watcher)
        with throwaway_folder() as folder:
            environment = {
                "KAFKA_BOOTSTRAP": bootstrap, "USAGE_EVENTS_TOPIC": topic, "POSTGRES_DSN": with_database(server, name),
                "STATE_FOLDER": str(folder / "state"), "APPLICATION_ID": name,
            }  # fmt: skip
            with running_peer(command, environment, folder / "log") as process:
                began, ended, is_exact = await wait_until_exact(process, database, folder / "log", truth, within_s)
                # The watcher sums the rollup four times a second; an aggregator's watcher reads a few rows.
                postgres, kafka = (after - before for after, before in zip(servers.cpu(), servers_before, strict=True))
                cost = Cost(
                    own_cpu(process.pid),
                    postgres - (own_cpu(watcher) - watched_before),
                    kafka,
                    [peak_memory_mib(process.pid)],
                    int(await database.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", written)),
                )
                await asyncio.sleep(STAYS_S)
                is_exact = is_exact and await is_true(database, truth)
        return PeerRun(truth.events, ended - began, is_exact, cost)
    finally:
        await database.close()
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await administrator.close()


@contextmanager
def running_peer(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def wait_until_exact(
    process: subprocess.Popen[bytes], database: asyncpg.Connection, log: Path, truth: Truth, within_s: float
) -> tuple[float, float, bool]:
    """Times of the first event and of the last change of the sums, and whether these are the truth."""
    deadline, last, changed = time.time() + within_s, None, time.time()
    while time.time() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Kafka Streams ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        row, now = await database.fetchrow(SUMS), time.time()
        if row != last:
            last, changed = row, now
        first = first_event_at(log)
        if first and is_sum(row, truth):
            return first, now, True
        if first and now - changed > STANDS_STILL_S:
            return first, changed, False
        await asyncio.sleep(POLL_S)
    raise RuntimeError(f"Kafka Streams counted no usage to the end within {within_s} s:\n{log.read_text()[-2000:]}")


def first_event_at(log: Path) -> float | None:
    """The time that the peer printed at its first event."""
    written = log.read_text(errors="replace").splitlines(keepends=True)
    lines = [line for line in written if line.startswith("FIRST ") and line.endswith("\n")]  # else its end follows
    return float(lines[0].split()[1]) if lines else None


async def is_true(database: asyncpg.Connection, truth: Truth) -> bool:
    return is_sum(await database.fetchrow(SUMS), truth)


def is_sum(row: asyncpg.Record, truth: Truth) -> bool:
    return (row["events"], row["credits"]) == (truth.usage, Decimal(truth.credits).scaleb(-6))
