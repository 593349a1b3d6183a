"""Checks Postgres and the totals topic against the log after faults. Shares no code with the aggregator.

It reads the log from its beginning, adds it up by a model of thirty lines, and compares. Names of the oracles:
O1 sums are conserved, O2 no acknowledged event is lost, O5 every record has one disposition, O6 dead letters,
O7 the levels that alerts are evaluated from.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from support.infra.stack import Topics
from support.invariants.rollups import differing_tables
from support.services.aggregator import TOTALS

Log = Mapping[int, list[bytes | None]]


@dataclass
class Truth:
    """The expected result of a log."""

    credits: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Micro-credits by organization, product, feature and day (UTC)."""
    events: int = 0
    copies: int = 0
    refused: list[bytes | None] = field(default_factory=list)
    ids: set[tuple[str, str, str]] = field(default_factory=set)


def add_up(log: Log) -> Truth:
    """The model: usage with credits, copies in any partition, conflicts behind their original in its partition, and invalid records."""
    truth, first = Truth(), {}
    for values in log.values():
        for value in values:
            try:
                event = json.loads(value or b"")
                key = event["subject"], event["source"], event["id"]
                said = event["time"], json.dumps(event["data"], sort_keys=True)
                micro = int(Decimal(event["data"]["credits"]) * 1_000_000)
            except (ValueError, KeyError, TypeError, RecursionError):
                truth.refused.append(value)
                continue
            if key not in first:
                first[key] = said
                truth.events += 1
                data = event["data"]
                truth.credits[event["subject"], data["product"], data["feature"], event["time"][:10]] += micro
            elif first[key] == said:
                truth.copies += 1
            else:
                truth.refused.append(value)
    truth.ids = set(first)
    return truth


async def read_log(bootstrap: str, topic: str) -> dict[int, list[bytes | None]]:
    """All values of a topic by partition, read without a consumer group."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        log: dict[int, list[bytes | None]] = {at.partition: [] for at in ends}
        while any(len(log[at.partition]) < end for at, end in ends.items()):
            for at, records in (await consumer.getmany(timeout_ms=1000)).items():
                log[at.partition] += [record.value for record in records]
        return log
    finally:
        await consumer.stop()


async def count_log(bootstrap: str, topic: str) -> int:
    """Number of records in a topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(consumer.assignment())).values())
    finally:
        await consumer.stop()


async def find_violations(topics: Topics, dsn: str, acknowledged: Iterable[tuple[str, str, str]] = ()) -> list[str]:
    """Violations in Postgres and the totals topic; empty if there are none."""
    log = await read_log(topics.bootstrap, topics.usage_events)
    truth = add_up(log)
    found = [f"O2: {key} was acknowledged and is not in the log" for key in acknowledged if key not in truth.ids]
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found += await check_sums(connection, truth)
        found += [f"O1: {table} is not the sum of the ledger" for table in await differing_tables(connection)]
        found += await check_dispositions(connection, topics, log, truth)
        found += await check_dead_letters(connection, truth)
        found += await check_totals(connection, topics)
    finally:
        await connection.close()
    return found


async def check_sums(connection: "asyncpg.Connection[asyncpg.Record]", truth: Truth) -> list[str]:
    found = []
    total = sum(truth.credits.values())
    for table in TOTALS:
        stored = await connection.fetchval(f"SELECT coalesce(sum(credits), 0)::bigint FROM {table}")
        if stored != total:
            found.append(f"O1: {table} says {stored}, the log {total}")
    rows = await connection.fetch(
        "SELECT o.organization, s.product, s.feature, d.day::text, sum(d.credits)::bigint FROM usage_daily d"
        " JOIN usage_series s USING (series_id) JOIN organizations o ON o.organization_id = d.organization_id GROUP BY 1, 2, 3, 4"
    )
    stored_cells = {tuple(row[:4]): row[4] for row in rows}
    wrong = [
        cell for cell in truth.credits.keys() | stored_cells.keys() if truth.credits[cell] != stored_cells.get(cell)
    ]
    return found + [f"O1: {cell} is {stored_cells.get(cell)}, the log says {truth.credits[cell]}" for cell in wrong[:3]]


async def check_dispositions(
    connection: "asyncpg.Connection[asyncpg.Record]", topics: Topics, log: Log, truth: Truth
) -> list[str]:
    found, sums = [], Counter[str]()
    rows = await connection.fetch("SELECT * FROM partition_progress WHERE topic = $1", topics.usage_events)
    for row in rows:
        dispositions = {name: row[name] for name in ("counted", "duplicate", "rejected", "held")}
        sums.update(dispositions)
        if row["next_offset"] != len(log[row["partition"]]) or sum(dispositions.values()) != row["next_offset"]:
            found.append(
                f"O5: partition {row['partition']} has {len(log[row['partition']])} records, Postgres {dict(row)}"
            )
    expected = {"counted": truth.events, "duplicate": truth.copies, "rejected": len(truth.refused), "held": 0}
    return found + ([f"O5: {dict(sums)}, the log says {expected}"] if dict(sums) != expected else [])


async def check_dead_letters(connection: "asyncpg.Connection[asyncpg.Record]", truth: Truth) -> list[str]:
    rows = await connection.fetch("SELECT value FROM dead_letter_outbox")
    same = Counter(row["value"] for row in rows) == Counter(truth.refused)
    return (
        []
        if same
        else [f"O6: {len(rows)} dead letters do not match the {len(truth.refused)} invalid records of the log"]
    )


async def check_totals(connection: "asyncpg.Connection[asyncpg.Record]", topics: Topics) -> list[str]:
    """The last totals message of each organization must equal its level."""
    messages: dict[str, dict[str, Any]] = {}
    for values in (await read_log(topics.bootstrap, topics.totals)).values():
        for message in map(json.loads, filter(None, values)):
            messages[message["organization"]] = message
    levels: dict[str, dict[str, str]] = defaultdict(dict)
    for row in await connection.fetch(
        "SELECT o.organization, s.product, sum(l.credits)::bigint::text AS credits FROM usage_ledger l JOIN usage_series s USING (series_id)"
        " JOIN organizations o ON o.organization_id = l.organization_id WHERE NOT l.held GROUP BY 1, 2"
    ):
        levels[row["organization"]][row["product"]] = row["credits"]
    said = {name: message["micro_credits"] for name, message in messages.items()}
    return [] if said == levels else [f"O7: usage.totals.v1 says {said}, the ledger {dict(levels)}"]
