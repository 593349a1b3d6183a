"""Counts a filled topic into a database with one or more aggregators, and compares the result with the truth."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import asyncpg
from processes import Cost, Servers, own_cpu, peak_memory_mib
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics

from counting.usage_log import Truth

COUNTED = """SELECT count(*) AS partitions, coalesce(sum(next_offset), 0)::bigint AS applied, coalesce(sum(rejected), 0)::bigint AS rejected,
    coalesce(sum(duplicate), 0)::bigint AS duplicate FROM partition_progress WHERE topic = $1"""
KNOWN = "SELECT count(*) FROM organizations WHERE time_zone IS NOT NULL"
ROLLUPS = ("usage_15m", "usage_daily", "usage_monthly", "usage_organization_daily", "usage_organization_monthly")
POLL_S = 0.05


@dataclass(frozen=True)
class CountingRun:
    """`events_per_second` is from the moment when partitions are assigned; `cost` is with the start of the processes."""

    events: int
    seconds: float
    events_per_second: float
    cost: Cost
    database_bytes: int
    """Growth of the database, with indexes."""

    def describe(self) -> str:
        return f"{self.events_per_second:,.0f} events/s; {self.cost.describe(self.events)}"


async def count(
    database: Database, topics: Topics, truth: Truth, servers: Servers, *, aggregators: int = 1,
    settings: Mapping[str, str] | None = None, within_s: float = 900, ledger_before: int = 0, credits_before: int = 0,
) -> CountingRun:  # fmt: skip
    """Count the whole topic. Ends the benchmark if the result is not exact.

    `ledger_before` and `credits_before` are the rows and micro-credits that the database has before.
    """
    group = f"{topics.usage_events}-{secrets.token_hex(4)}"
    environment = aggregator_environment(database, topics, **(settings or {})) | {"CONSUMER_GROUP": group}
    owner = await asyncpg.connect(database.dsn)
    try:
        await owner.execute("CHECKPOINT")
        size_before = await owner.fetchval("SELECT pg_database_size(current_database())")
        written, servers_before = await owner.fetchval("SELECT pg_current_wal_lsn()"), servers.cpu()
        watcher = await owner.fetchval("SELECT pg_backend_pid()")
        watched_before = own_cpu(watcher)
        with ExitStack() as stack:
            processes = [stack.enter_context(running("aggregator", environment)) for _ in range(aggregators)]
            counted, seconds = await wait_until_counted(owner, topics.usage_events, truth.events, within_s, processes)
            postgres, kafka = (after - before for after, before in zip(servers.cpu(), servers_before, strict=True))
            cost = Cost(
                sum(own_cpu(process.pid) for process in processes),
                postgres - (own_cpu(watcher) - watched_before),
                kafka,
                [peak_memory_mib(process.pid) for process in processes],
                int(await owner.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", written)),
            )
        await check_result(owner, topics.usage_events, truth, ledger_before, credits_before)
        size = await owner.fetchval("SELECT pg_database_size(current_database())") - size_before
        return CountingRun(truth.events, seconds, counted / seconds, cost, size)
    finally:
        await owner.close()


async def read_catalog(database: Database, topics: Topics, organizations: int, within_s: float = 900) -> float:
    """Let an aggregator read the catalog of a log whose usage is not written yet; returns the seconds of its work."""
    owner, began = await asyncpg.connect(database.dsn), time.monotonic()

    async def is_read() -> bool:
        return bool(await owner.fetchval(KNOWN) >= organizations)

    try:
        with running("aggregator", aggregator_environment(database, topics)):
            await eventually(is_read, within_s=within_s, what="catalog read")
        return time.monotonic() - began
    finally:
        await owner.close()


async def wait_until_counted(
    owner: asyncpg.Connection, topic: str, events: int, within_s: float, processes: list
) -> tuple[int, float]:
    """Events and seconds between the first sight of the topic's progress and its end."""
    deadline, began, at_first = time.monotonic() + within_s, 0.0, 0
    while time.monotonic() < deadline:
        progress = await owner.fetchrow(COUNTED, topic)
        if progress["partitions"] and not began:
            began, at_first = time.monotonic(), progress["applied"]
        if progress["applied"] == events:
            return events - at_first, time.monotonic() - began
        for process in processes:
            if process.exit_code is not None:
                raise RuntimeError(f"an aggregator ended with {process.exit_code}")
        await asyncio.sleep(POLL_S)
    raise RuntimeError(f"not all events were counted within {within_s} s")


async def check_result(
    owner: asyncpg.Connection, topic: str, truth: Truth, ledger_before: int = 0, credits_before: int = 0
) -> None:
    """Ends the benchmark if ledger, rollups or progress differ from the truth."""
    progress = await owner.fetchrow(COUNTED, topic)
    found = {
        "ledger rows": await owner.fetchval("SELECT count(*) FROM usage_ledger WHERE NOT held"),
        "rejected": progress["rejected"],
        "duplicate": progress["duplicate"],
        **{
            table: int(await owner.fetchval(f"SELECT coalesce(sum(credits), 0) FROM {table}"))
            for table in ("usage_ledger", *ROLLUPS)
        },
    }
    credits = truth.credits + credits_before
    expected = {
        "ledger rows": truth.ledger_rows + ledger_before,
        "rejected": truth.conflicts,
        "duplicate": truth.copies,
        **dict.fromkeys(("usage_ledger", *ROLLUPS), credits),
    }
    if found != expected:
        raise SystemExit(f"not exact: {found}, expected {expected}")
