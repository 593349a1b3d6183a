"""Measures the query API for one large organization among many, while usage is counted."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import asyncpg
from alert_load import mint, percentile
from plain_client import PlainClient
from steady_load import sending, write_load
from support.infra.full_stack import WholeStack
from support.infra.service_process import eventually

ORGANIZATION = "org_sim_0000"
"""The first generated company, which has the requested number of series."""
ORGANIZATIONS, SERIES, EVENTS = 200, 1_500, 1_000_000
COUNTED_PER_SECOND = 5_000
WARM_UP_S = 10
BACKFILL_S = 900
LIMITS_MS = {
    "overview": 25,
    "breakdown of a month": 25,
    "trend of a year": 60,
    "breakdown of all time": 60,
    "projection": 100,
    "explain": 150,
}
"""Those of the first four hold without the last two, whose computations take the most time."""
MIX = {"overview": 40, "breakdown of a month": 40, "trend of a year": 15, "breakdown of all time": 5}
MIX_WITH_OUTLOOKS = {**MIX, "projection": 5, "explain": 5}
VIEWS = [("assistant", "models"), ("assistant", "tools"), ("assistant", "other_features"), ("agents", "agents"), ("agents", "features"), ("api", "namespaces")]  # fmt: skip


@dataclass(frozen=True)
class QueryResult:
    """Result of a run: milliseconds from a request's due time, by kind of request."""

    counted_per_second: float
    milliseconds: dict[str, list[float]]


async def fill_history(stack: WholeStack) -> None:
    """Generate 13 months of 200 organizations, and wait until they are counted."""
    options = {"organizations": ORGANIZATIONS, "events": EVENTS, "series": SERIES}
    arguments = [part for name, value in options.items() for part in (f"--{name}", f"{value}")]
    began = time.monotonic()
    await asyncio.to_thread(stack.command, "simulate", "backfill", *arguments, within_s=BACKFILL_S)
    await until_counted(stack)
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])

    async def notified() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM email_outbox WHERE state = 'pending'")

    try:
        await eventually(notified, within_s=300, what="the history's alerts sent")
        number = await connection.fetchval(
            "SELECT organization_id FROM organizations WHERE organization = $1", ORGANIZATION
        )
        series, days = await connection.fetchrow(
            "SELECT count(DISTINCT series_id), count(*) FROM usage_daily WHERE organization_id = $1", number
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    print(
        f"filled in {time.monotonic() - began:.0f} s: {ORGANIZATION} has {series:,} series and {days:,} rows of days",
        flush=True,
    )


async def until_counted(stack: WholeStack) -> None:
    async def current() -> bool:
        answer = await asyncio.to_thread(stack.get, "freshness", organization=ORGANIZATION)
        return bool(answer["state"] == "current" and answer["lag_seconds"] < 3)

    await eventually(current, within_s=300, what="the history counted")


async def measure_queries(
    stack: WholeStack, mix: Mapping[str, int], *, per_second: float, seconds: float, seed: int
) -> QueryResult:
    """Send requests at fixed times, without waiting for earlier answers, and without If-None-Match."""
    chance = random.Random(seed)
    load = stack.home.root / "load.jsonl"
    await asyncio.to_thread(write_load, load, ORGANIZATIONS, COUNTED_PER_SECOND, seconds + 30, seed)
    client = PlainClient(stack.addresses["query_url"], mint(stack, ORGANIZATION))
    with sending(load, stack.addresses["ingest_url"], stack.addresses["ingest_key"], COUNTED_PER_SECOND):
        await ask_steadily(client, mix, chance, per_second, WARM_UP_S)
        before, began = await counted(stack), time.monotonic()
        answered = await ask_steadily(client, mix, chance, per_second, seconds)
        rate = (await counted(stack) - before) / (time.monotonic() - began)
    return QueryResult(rate, answered)


async def ask_steadily(
    client: PlainClient, mix: Mapping[str, int], chance: random.Random, per_second: float, seconds: float
) -> dict[str, list[float]]:
    answered: dict[str, list[float]] = defaultdict(list)
    began, tasks = time.monotonic(), []
    for number in range(int(per_second * seconds)):
        kind = chance.choices(list(mix), list(mix.values()))[0]
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(ask(client, kind, chance, due, answered)))
    await asyncio.gather(*tasks)
    return answered


async def ask(
    client: PlainClient, kind: str, chance: random.Random, due: float, answered: dict[str, list[float]]
) -> None:
    path, parameters = request_of(kind, chance)
    await client.get(f"/api/v1{path}?{urlencode(parameters)}")
    answered[kind].append(1000 * (time.monotonic() - due))


def request_of(kind: str, chance: random.Random) -> tuple[str, dict[str, str]]:
    today = datetime.now(UTC).date()
    product, view = chance.choice(VIEWS)
    if kind == "overview":
        return "/overview", {}
    if kind == "projection":
        return "/projection", {}
    if kind == "trend of a year":
        first = today - timedelta(days=364)
        return "/trend", {
            "from": f"{first}",
            "to": f"{today}",
            "interval": chance.choice(["day", "week", "month"]),
            "group_by": "product",
        }
    if kind == "breakdown of all time":
        return "/breakdown", {"product": product, "view": view, "range": "all"}
    month = (today.replace(day=15) - timedelta(days=30 * chance.randrange(12))).strftime("%Y-%m")
    if kind == "explain":
        return "/explain", {"from": month, "to": month}
    return "/breakdown", {"product": product, "view": view, "from": month, "to": month}


async def counted(stack: WholeStack) -> int:
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    try:
        return int(await connection.fetchval("SELECT sum(counted) FROM partition_progress"))
    finally:
        await connection.close()


def describe_queries(result: QueryResult) -> str:
    parts = [
        f"{kind}: p50 {percentile(times, 50):.0f} ms, p99 {percentile(times, 99):.0f} ms of {len(times)}"
        for kind, times in sorted(result.milliseconds.items())
    ]
    return f"while {result.counted_per_second:,.0f} events/s are counted; " + "; ".join(parts)
