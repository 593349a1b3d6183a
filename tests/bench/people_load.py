"""Measures the views of people for an organization of 20,000 people, while usage is counted."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import asyncpg
from alert_load import mint
from plain_client import PlainClient
from query_load import BACKFILL_S, COUNTED_PER_SECOND, ORGANIZATION, WARM_UP_S, QueryResult, counted, until_counted
from steady_load import sending, write_load
from support.infra.full_stack import WholeStack

ORGANIZATIONS, EVENTS = 20, 20_000
PEOPLE, ACTIVE_DAYS, SERIES_A_DAY, SERIES, GROUPS = 20_000, 15, 2, 200, 40
LIMIT_MS = 50
MIX = {
    "named": {"people": 60, "people of the month before": 20, "groups of today": 15, "one person": 5},
    "groups_only": {"groups only": 70, "groups only, of the month before": 30},
}
"""By what the organization shows of people."""
LIMITED = ("people", "people of the month before", *MIX["groups_only"])

DIRECTORY = """
    INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)
        SELECT $1, 'agents', 'model', 'people-model-' || n, 'people-agent-' || n % 40, 'web' FROM generate_series(1, $4::integer) n;
    INSERT INTO people_groups SELECT $1, 'people-group-' || n, 'Group ' || n, CASE WHEN n > 8 THEN 'people-group-' || n % 8 + 1 END, '{}', now(), 0
        FROM generate_series(1, $3::integer) n;
    INSERT INTO actors SELECT $1, 'person-' || lpad(n::text, 6, '0'), 'Person ' || n, NULL, n % 50 = 0, false, now(), 0 FROM generate_series(1, $2::integer) n;
    INSERT INTO actor_groups SELECT $1, 'person-' || lpad(n::text, 6, '0'), '2026-01-01', ARRAY['people-group-' || n % $3::integer + 1], now(), 0
        FROM generate_series(1, $2::integer) n;
    INSERT INTO usage_attributions (organization_id, identity, actor_kind, actor_id, group_id, labels)
        SELECT $1, gen_random_uuid(), 'user', 'person-' || lpad(n::text, 6, '0'), '', '{}' FROM generate_series(1, $2::integer) n
"""
ROLLUPS = """
    INSERT INTO usage_attributed_daily
        SELECT $1, day, a.attribution_id, s.series_id, 1000 * (1 + hashint8(a.attribution_id * 31 + extract(day FROM day)::integer) & 1023), 3
        FROM generate_series($2::date, $3::date, '1 day') AS days(day)
        JOIN (SELECT attribution_id, row_number() OVER (ORDER BY attribution_id) AS n FROM usage_attributions
            WHERE organization_id = $1 AND actor_id LIKE 'person-%') AS a ON (a.n + extract(day FROM day)::integer) % 2 = 0
        CROSS JOIN generate_series(1, $4::integer) AS turn
        JOIN (SELECT series_id, row_number() OVER (ORDER BY series_id) AS n FROM usage_series
            WHERE organization_id = $1 AND feature LIKE 'people-model-%') AS s ON s.n = (a.n * 7 + turn * 13) % $5::integer + 1
"""
"""Each person has usage of two series on every second day."""
SUMS = """
    CREATE TEMPORARY TABLE added AS SELECT d.day, d.attribution_id, d.series_id, d.credits, d.events FROM usage_attributed_daily d
        JOIN usage_attributions a USING (attribution_id) WHERE d.organization_id = $1 AND a.actor_id LIKE 'person-%';
    INSERT INTO usage_attributed_monthly SELECT $1, date_trunc('month', day), attribution_id, sum(credits), sum(events) FROM added GROUP BY 2, 3;
    INSERT INTO usage_daily SELECT $1, day, series_id, sum(credits), sum(events) FROM added GROUP BY 2, 3;
    INSERT INTO usage_monthly SELECT $1, date_trunc('month', day), series_id, sum(credits), sum(events) FROM added GROUP BY 2, 3;
    INSERT INTO usage_organization_daily SELECT $1, day, 'agents', 9999, sum(credits), sum(events) FROM added GROUP BY 2;
    INSERT INTO usage_organization_monthly SELECT $1, date_trunc('month', day), 'agents', 9999, sum(credits), sum(events) FROM added GROUP BY 2
"""


async def fill_people(stack: WholeStack) -> None:
    """Count a little usage of generated companies; then insert people of one, and their usage of two months, into the rollups."""
    arguments = ["--organizations", f"{ORGANIZATIONS}", "--events", f"{EVENTS}"]
    await asyncio.to_thread(stack.command, "simulate", "backfill", *arguments, within_s=BACKFILL_S)
    await until_counted(stack)
    today, began = datetime.now(UTC).date(), time.monotonic()
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    try:
        number = await connection.fetchval(
            "SELECT organization_id FROM organizations WHERE organization = $1", ORGANIZATION
        )
        for statement in DIRECTORY.split(";"):
            used = [value for at, value in enumerate((number, PEOPLE, GROUPS, SERIES), 1) if f"${at}" in statement]
            await connection.execute(renumber(statement), *used)
        await connection.execute(ROLLUPS, number, month_before(today), today, SERIES_A_DAY, SERIES)
        for statement in SUMS.split(";"):
            await connection.execute(statement.replace("$1", f"{number}"))
        rows = await connection.fetchval("SELECT count(*) FROM added")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    print(f"filled in {time.monotonic() - began:.0f} s: {PEOPLE:,} people with {rows:,} rows of days", flush=True)


def renumber(statement: str) -> str:
    """The statement with parameters numbered from 1 without gaps."""
    present = [number for number in range(1, 10) if f"${number}" in statement]
    for number, old in enumerate(present, 1):
        statement = statement.replace(f"${old}", f"${number}")
    return statement


def month_before(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


async def measure_people(stack: WholeStack, mode: str, *, per_second: float, seconds: float, seed: int) -> QueryResult:
    """Send requests at fixed times, without waiting for earlier answers, and without If-None-Match, while the organization
    shows people as in `mode`."""
    await show_people(stack, mode)
    chance, load = random.Random(seed), stack.home.root / "load.jsonl"
    await asyncio.to_thread(write_load, load, ORGANIZATIONS, COUNTED_PER_SECOND, seconds + 30, seed)
    client = PlainClient(stack.addresses["query_url"], mint(stack, ORGANIZATION))
    with sending(load, stack.addresses["ingest_url"], stack.addresses["ingest_key"], COUNTED_PER_SECOND):
        await ask_steadily(client, MIX[mode], chance, per_second, WARM_UP_S)
        before, began = await counted(stack), time.monotonic()
        answered = await ask_steadily(client, MIX[mode], chance, per_second, seconds)
        rate = (await counted(stack) - before) / (time.monotonic() - began)
    return QueryResult(rate, answered)


async def show_people(stack: WholeStack, mode: str) -> None:
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    try:
        await connection.execute("UPDATE organizations SET people = $1 WHERE organization = $2", mode, ORGANIZATION)
    finally:
        await connection.close()


async def ask_steadily(
    client: PlainClient, mix: Mapping[str, int], chance: random.Random, per_second: float, seconds: float
) -> dict[str, list[float]]:
    answered: dict[str, list[float]] = defaultdict(list)

    async def ask(kind: str, due: float) -> None:
        await client.get(path_of(kind, chance))
        answered[kind].append(1000 * (time.monotonic() - due))

    began, tasks = time.monotonic(), []
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(ask(chance.choices(list(mix), list(mix.values()))[0], due)))
    await asyncio.gather(*tasks)
    return answered


def path_of(kind: str, chance: random.Random) -> str:
    today = datetime.now(UTC).date()
    month = f"{today:%Y-%m}"
    if kind.endswith("of the month before"):
        month = f"{month_before(today):%Y-%m}"
    path = f"/api/v1/usage/people?from={month}&to={month}"
    if kind in MIX["groups_only"]:
        return f"{path}&by=group"
    if kind == "groups of today":
        return f"{path}&by=group&membership=now"
    if kind == "one person":
        return f"{path}&actor=person-{chance.randrange(PEOPLE):06}"
    return path
