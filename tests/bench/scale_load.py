"""Measures the speedup of two and three aggregators, and each part's processor time per event."""

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aggregator.db.catalog_cache import CATALOG_LOCK
from aggregator_load import fill_topics
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from flexcredits_cli.embedded.readiness import wait_until_usable
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics

PARTITIONS = 6
SETTLED_S = 3.0
TICKS = os.sysconf("SC_CLK_TCK")
HELD_TO_2000 = {"BATCH_EVENTS_MAX": "400", "BATCH_INTERVAL_S": "0.2"}
"""A rate that leaves processor time, so that only the code can limit the speedup."""
LEDGER_BYTES = (
    "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'usage_ledger'::regclass"
    " AND pg_relation_size(inhrelid) > 0"
)


@dataclass(frozen=True)
class ScaleResult:
    """Processor seconds of all aggregators, of Postgres and of the whole machine, while `events` were counted."""

    aggregators: int
    events: int
    seconds: float
    aggregator_cpu_s: float
    postgres_cpu_s: float
    machine_cpu_s: float
    wal_bytes: int
    ledger_bytes: int


def describe_scale(result: ScaleResult) -> str:
    aggregator_us = result.aggregator_cpu_s / result.events * 1e6
    postgres_us = result.postgres_cpu_s / result.events * 1e6
    return (
        f"{result.aggregators} aggregators {result.events / result.seconds:,.0f} events/s; an event costs {aggregator_us:.0f} us"
        f" of Python and {postgres_us:.0f} us of Postgres, {result.wal_bytes / result.events:.0f} B of write-ahead log and"
        f" {result.ledger_bytes / result.events:.0f} B of ledger; {result.machine_cpu_s / result.seconds:.2f} cores were busy"
    )


async def fill_partitions(topics: Topics, events: int) -> None:
    """Write the log that all runs count. One, two and three aggregators can share its partitions evenly."""
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    await admin.create_partitions({topics.usage_events: NewPartitions(PARTITIONS)})
    await admin.close()
    await wait_until_usable(topics.bootstrap, topics.all)
    await fill_topics(topics.bootstrap, topics.usage_events, topics.catalog, events, 1, PARTITIONS)


async def measure_scale(
    database: Database, topics: Topics, events: int, aggregators: int, limit: Mapping[str, str]
) -> ScaleResult:
    """Count `events` or more from the log's beginning into an empty database. Timing starts when all aggregators have their partitions."""
    owner = await asyncpg.connect(database.dsn)
    group = f"{topics.usage_events}-{aggregators}-{len(limit)}"
    environment = aggregator_environment(database, topics, **limit) | {"CONSUMER_GROUP": group}
    with ExitStack() as stack:
        # Batches hold this lock shared: while it is taken exclusively, no aggregator counts before all are ready.
        await owner.execute("SELECT pg_advisory_lock($1)", CATALOG_LOCK)
        processes = []
        for _ in range(aggregators):
            processes.append(stack.enter_context(running("aggregator", environment)))
            await eventually(processes[-1].ready, within_s=60, what="aggregator ready")
        await asyncio.sleep(SETTLED_S)
        before, pids = cpu_of([process.pid for process in processes]), await backends(owner)
        written = await owner.fetchval("SELECT pg_current_wal_lsn()")
        database_before, machine_before, began = cpu_of(pids), machine_cpu(), time.monotonic()
        await owner.execute("SELECT pg_advisory_unlock($1)", CATALOG_LOCK)
        while (counted := await applied(owner, topics.usage_events)) < events:
            if time.monotonic() - began > 300:
                raise RuntimeError("not all events were applied within 300 s")
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        used = cpu_of([process.pid for process in processes]) - before
        result = ScaleResult(
            aggregators, counted, seconds, used, cpu_of(await backends(owner)) - database_before,
            machine_cpu() - machine_before,
            int(await owner.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", written)),
            await owner.fetchval(LEDGER_BYTES),
        )  # fmt: skip
    await owner.close()
    return result


async def applied(owner: asyncpg.Connection, topic: str) -> int:
    return int(
        await owner.fetchval("SELECT coalesce(sum(next_offset), 0) FROM partition_progress WHERE topic = $1", topic)
    )


async def backends(owner: asyncpg.Connection) -> list[int]:
    """Process ids of the server and its children."""
    return [row["pid"] for row in await owner.fetch("SELECT pid FROM pg_stat_activity")]


def cpu_of(pids: Iterable[int]) -> float:
    """User and system seconds of these processes; 0 for ended ones."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def machine_cpu() -> float:
    """Seconds in which the processors were not idle, by any process."""
    user, nice, system, _idle, _wait, *rest = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(map(int, (user, nice, system, *rest[:3]))) / TICKS
