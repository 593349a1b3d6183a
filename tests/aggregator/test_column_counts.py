"""Columns and the exact path count the same log to the same rows."""

import gc
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
import pytest
from aggregator.db.binary_copy import copy_rows
from aggregator.db.catalog_cache import Catalog
from aggregator.db.series import learn_series
from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.read import read as read_columns
from aggregator.domain.counting.cells import group
from aggregator.domain.counting.rates import NO_RATE, HeadRates, rate_columns
from aggregator.domain.counting.recent import RecentIdentities
from flexcredits_schemas.rating.card import Rate, RateCard
from hypothesis import given
from hypothesis import strategies as st
from runtime.postgres.pool import open_pool
from support.data.factories import (
    FakeRecord,
    as_written,
    correction,
    organization,
    rate,
    records,
    rfc3339,
    usage,
    uuid7,
)
from support.data.people import random_who
from support.infra.stack import Database
from support.invariants.rollups import check_rollups
from support.services.aggregator import Aggregator, canonical

NOW = datetime.now(UTC)
TABLES = {
    "usage_ledger": "*", "usage_held": "*", "ledger_strays": "id_day, ledger_bucket, identity", "correction_reasons": "*", "usage_15m": "*", "usage_daily": "*",
    "usage_monthly": "*", "usage_organization_daily": "*", "usage_organization_monthly": "*", "usage_corrections": "*", "usage_late": "*",
    "partition_hours": "*", "partition_progress": "topic, partition, next_offset, counted, duplicate, rejected, held, skipped, records_end",
    "dead_letter_outbox": "partition, kafka_offset, value, reason, pointer, organization, identity", "totals_outbox": "totals_id, organization_id", "usage_attributions": "*", "usage_attributed_daily": "*", "usage_attributed_monthly": "*", "usage_runs": "*",
    "agent_sightings": "organization_id, agent_id, kind, name, ever_saved", "usage_series": "*", "quarantine": "organization_id, step",
}  # fmt: skip
OTHER_CONTENT: list[dict[str, Any]] = [
    {"credits": "77"}, {"feature": "another"}, {"surface": "desktop"}, {"actor": {"id": "zoe"}}, {"run": {"id": "another"}},
]  # fmt: skip
IDS = [
    "conversation-17",
    "01HQ2Z6YV0X2Q4J6R8T0V2X4Z6",
    uuid7(NOW - timedelta(days=900)),
    uuid7(NOW + timedelta(days=300)),
]


def random_usage(chance: random.Random) -> dict[str, Any]:
    happened = NOW - timedelta(hours=8, seconds=chance.choice([0, 10, 86_400 * 40]) * chance.random())
    envelope: dict[str, Any] = {
        "subject": chance.choice(["org_a", "org_b", "org_unknown"]),
        "time": rfc3339(happened),
        "id": uuid7(happened) if chance.random() < 0.9 else chance.choice(IDS),
    }
    who = random_who(chance) if chance.random() < 0.5 else {}
    if chance.random() < 0.15:
        return usage(feature_kind="model", feature="gpt", quantity=str(chance.randint(1, 9999)), unit=chance.choice(["tokens", "pages"]), **who, envelope=envelope)  # fmt: skip
    number = chance.randint(1, 4)
    # Of one kind: the sighting of a kind may be older by SIGHTING_S than its latest use, so another order may give another kind.
    agent = {"id": f"agt_{number}", "kind": "saved" if number % 2 else "unsaved"}
    return usage(
        product="agents" if chance.random() < 0.4 else "assistant",
        agent=agent | ({"name": "Report"} if chance.random() < 0.5 else {}) if chance.random() < 0.5 else {"id": "a", "kind": "saved"},
        feature_kind="tool", feature=f"f{chance.randint(1, 5)}",
        credits=chance.choice(["0.000001", "12.5", "3", "1000001", "999999999.999999"]) if chance.random() < 0.1 else f"0.{chance.randint(1, 999999):06}",
        **who, envelope=envelope,
    )  # fmt: skip


def random_records(chance: random.Random) -> dict[int, list[FakeRecord]]:
    """Three partitions: usage with copies and conflicts in any partition, corrections, quantities, unreadable records."""
    log: dict[int, list[FakeRecord]] = {0: [], 1: [], 2: []}
    sent: list[dict[str, Any]] = [random_usage(chance)]
    for _ in range(500):
        roll, first = chance.random(), chance.choice(sent)
        item: dict[str, Any] | bytes = random_usage(chance)
        if roll < 0.1:
            item = first
        elif roll < 0.13 and "credits" in first["data"]:
            item = {**first, "data": {**first["data"], **chance.choice(OTHER_CONTENT)}}
        elif roll < 0.15:
            item = {**first, "time": rfc3339(datetime.fromisoformat(first["time"]) + timedelta(milliseconds=1))}
        elif roll < 0.22 and "credits" in first["data"] and "corrects" not in first["data"]:
            item = correction(first, chance.choice(["-0.5", "0.25", "-2"]))
        elif roll < 0.23:
            item = b"{"
        if isinstance(item, dict):
            sent.append(item)
        partition = chance.randrange(3)
        [record] = records([item], first=len(log[partition]), partition=partition)
        record.timestamp -= chance.randrange(6 * 3_600_000)
        log[partition].append(canonical(record))
    return log


def slices(chance: random.Random, log: dict[int, list[FakeRecord]]) -> Iterator[list[list[FakeRecord]]]:
    """Batches of the whole log, with replayed parts."""
    position = dict.fromkeys(log, 0)
    while any(position[at] < len(log[at]) for at in log):
        batch = []
        for at, kept in log.items():
            begin, end = (
                max(0, position[at] - chance.randint(0, 9)),
                min(len(kept), position[at] + chance.randint(0, 90)),
            )
            if begin < end:
                batch.append(kept[begin:end])
                position[at] = max(position[at], end)
        if batch:
            yield batch


async def dump(owner: "asyncpg.Connection[asyncpg.Record]") -> dict[str, list[str]]:
    return {
        table: sorted(repr(tuple(row)) for row in await owner.fetch(f"SELECT {columns} FROM {table}"))
        for table, columns in TABLES.items()
    }


async def count_log(
    database: Database, owner: Any, seed: int, log: dict[int, list[FakeRecord]], heads: Heads | None
) -> dict[str, list[str]]:
    """The rows after a log was counted, in batches that the seed decides."""
    await owner.execute(f"TRUNCATE organizations, {', '.join(TABLES)} RESTART IDENTITY CASCADE")
    await owner.execute(
        "INSERT INTO organizations (organization_id, organization) OVERRIDING SYSTEM VALUE VALUES (0, '')"
    )
    chance = random.Random(seed)
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool, heads)
        pending = [
            rate(),
            rate(unit="pages", per="7", feature="*"),
            organization("org_b", "Asia/Kathmandu"),
            organization("org_a", "America/New_York"),
        ]
        await here.learn(pending.pop())
        for batch in slices(chance, log):
            if pending and chance.random() < 0.2:
                await here.learn(pending.pop())
                await here.release()
            if chance.random() < 0.3:
                here.catalog.recent = RecentIdentities()  # as after a restart: the index must find the copies
            if chance.random() < 0.2:
                here.catalog.limited = {1, 2} if not here.catalog.limited else set()
            result = await here.count(*batch)
            if heads is not None and len(result.counted) < result.counted_number:
                here.in_columns = True
        await here.release()
        assert heads is None or here.in_columns
    return await dump(owner)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("seed", range(6))
async def test_both_paths_write_the_same_rows(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]", seed: int
) -> None:
    """Of a log with held, rated, corrected, late, copied and conflicting usage, in the same batches."""
    log = random_records(random.Random(seed))
    in_columns = await count_log(database, owner, seed, log, Heads())
    await check_rollups(owner)
    exact = await count_log(database, owner, seed, log, None)
    for table, rows in exact.items():
        assert in_columns[table] == rows, table
    assert exact["dead_letter_outbox"]
    for table in ("usage_late", "usage_attributed_daily", "usage_runs"):
        assert exact[table]


@pytest.mark.expected_errors("organization in quarantine")
async def test_an_organization_that_fails_is_set_aside_and_the_others_are_counted(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The batch fails with columns; the exact path finds the organization."""
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool, Heads())
        await here.learn(organization("org_a"), organization("org_b"))
        number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_b'")
        await owner.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF NEW.organization_id = {number} THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$"
        )
        await owner.execute(
            "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON usage_daily FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        names = ["org_a", "org_b", "org_a"]
        await here.count(records([usage(envelope={"subject": name}) for name in names]))
        assert await here.total() == 2_000_000
        assert await owner.fetchval("SELECT organization_id FROM quarantine") == number
        later = await here.count(records([usage(envelope={"subject": name}) for name in names], first=3))
        assert (later.columns.counted.total(), len(later.quarantined)) == (2, 1)
        await owner.execute("DROP TRIGGER fail ON usage_daily")
        assert await here.retry() == 2
        assert await here.total() == 6_000_000
    await check_rollups(owner)


SECONDS = [1_700_000_000.0, 1_700_000_000.000001, 1_700_003_600.0, 1_700_086_400.25, 1_800_000_000.0]
FEATURES = ["gpt", "opus", "haiku"]


def rates_of(number: int, scope: tuple[str, str], credits: int, per: int, begins: float, received: float) -> Rate:
    organization_name, feature = scope
    return Rate(
        number, organization_name, "assistant", "model", feature, "tokens", credits, per, begins, received, number
    )


@given(
    st.lists(st.tuples(
        st.sampled_from([("", "*"), ("", "gpt"), ("org_acme", "*"), ("org_acme", "gpt")]), st.integers(0, 10**15) | st.integers(0, 9),
        st.integers(1, 10**15) | st.integers(1, 9), st.sampled_from([-float("inf"), *SECONDS]), st.sampled_from(SECONDS),
    ), max_size=5),
    st.lists(st.tuples(
        st.sampled_from(SECONDS).flatmap(lambda at: st.integers(-2, 2).map(lambda more: round(at * 1e6) + more)),
        st.integers(1, 10**15 - 1) | st.integers(1, 99), st.integers(0, len(FEATURES) - 1),
    ), min_size=1, max_size=20),
)  # fmt: skip
def test_quantities_get_the_credits_of_the_exact_path(rates: list[Any], uses: list[tuple[int, int, int]]) -> None:
    card, heads = RateCard(), Heads()
    card.add(rates_of(number, *fields) for number, fields in enumerate(rates))
    sent = [usage(feature_kind="model", feature=name, quantity="7", unit="tokens") for name in FEATURES]
    columns, rest = read_columns([FakeRecord(as_written(event), at) for at, event in enumerate(sent)], heads)
    assert not rest
    occurred, amount, feature = (np.array(column, np.int64) for column in zip(*uses, strict=True))
    columns = replace(columns.take(feature), occurred_us=occurred, amount=amount)
    rated = rate_columns(columns, np.ones(len(uses), np.bool_), card, HeadRates(), 1)
    for (microseconds, quantity, at), credits, rate_id in zip(
        uses, rated.credits.tolist(), rated.rate_id.tolist(), strict=True
    ):
        found = card.rate_at("org_acme", "assistant", "model", FEATURES[at], "tokens", microseconds / 1e6)
        if credits == -1:
            assert rate_id == NO_RATE
            assert found is None or found.credits * quantity >= 2**62 or found.per >= 2**62
        else:
            assert found is not None
            assert (credits, rate_id) == (found.credits_of(quantity), found.rate_id)


@given(st.lists(st.tuples(*[st.integers(-(2**40), 2**40) | st.integers(0, 3)] * 3, st.integers(-5, 5)), min_size=1))
def test_groups_are_sorted_sums_by_key(rows: list[tuple[int, ...]]) -> None:
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    keys, [sums] = group(columns[:3], columns[3])
    expected: dict[tuple[int, ...], int] = {}
    for *key, amount in rows:
        expected[tuple(key)] = expected.get(tuple(key), 0) + amount
    assert list(zip(*(key.tolist() for key in keys), sums.tolist(), strict=True)) == [
        (*key, expected[key]) for key in sorted(expected)
    ]


async def test_series_get_their_own_numbers_whether_they_are_new_or_not(aggregator: Aggregator) -> None:
    """A process that learns many series at once may be the first for all of them, for some, or for none."""
    keys = {
        ("org_a", product, "tool", f"{text}{number}", agent, "")
        for product in ("assistant", "agents")
        for number, text in enumerate(["b", "B", "ä", "z", "_", "A"])
        for agent in ("", "a\\b", "100%")
    }
    for some in ({*sorted(keys)[::2]}, keys, keys):
        catalog = Catalog()
        await learn_series(aggregator.pool, catalog, some, date(2026, 11, 1))
        assert catalog.series_ids.keys() == some
        rows = await aggregator.pool.fetch(
            "SELECT *, organization FROM usage_series JOIN organizations USING (organization_id)"
        )
        names = ("organization", "product", "feature_kind", "feature", "agent_id", "surface")
        assert {
            tuple(row[name] for name in names): row["series_id"] for row in rows if row["series_id"]
        } == catalog.series_ids


async def test_copied_rows_are_freed_without_the_garbage_collector(aggregator: Aggregator) -> None:
    """The collector runs at 500,000 objects, which hold any number of bytes."""
    rows = np.arange(100_000)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        async with aggregator.pool.acquire() as connection:
            await connection.execute("CREATE TEMPORARY TABLE copied (number bigint)")
            for _ in range(5):
                await copy_rows(connection, "copied", {"number": (rows, ">i8")})
                await connection.execute("TRUNCATE copied")
            await connection.execute("DROP TABLE copied")
        kept, peak = tracemalloc.get_traced_memory()
        assert kept < len(rows) * 8 < peak
    finally:
        tracemalloc.stop()
        gc.enable()


async def test_a_copy_of_usage_that_waited_does_not_make_a_copy_into_the_ledger_fail(database: Database) -> None:
    """The exact path holds usage without a rate. Its copy may come when the rate is known, as columns."""
    statements: list[str] = []

    async with open_pool(
        database.roles["flexcredits_aggregator"], application="test", size=1, statement_timeout_s=60,
        on_statement=lambda ended: statements.append(ended.query.split()[0]),
    ) as pool:  # fmt: skip
        aggregator = Aggregator(pool, Heads())
        await aggregator.learn(organization())
        waiting = usage(feature_kind="model", feature="gpt", quantity="7", unit="tokens")
        assert len((await aggregator.count(records([waiting]))).held) == 1
        await aggregator.learn(rate(credits="1", per="1"))
        result = await aggregator.count(records([waiting, usage()], first=1))
    assert (result.duplicate_number, result.counted_number) == (1, 1)
    assert "ROLLBACK" not in statements


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
def test_recent_identities_are_all_met_again(numbers: list[int]) -> None:
    high = np.array(numbers, np.uint64)
    recent = RecentIdentities()
    recent.meet(high)
    assert recent.meet(high).all()
