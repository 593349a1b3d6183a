"""If one organization's data makes counting fail, only that organization is quarantined; others are counted, and it is counted later."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from aggregator import metrics
from aggregator.backlog.quarantined import (
    find_widespread,
    retry_due,
)
from aggregator.consumer.isolation import SLOW_MAX, count_batch
from aggregator.db.catalog_cache import hold_catalog
from aggregator.db.progress import load_progress
from aggregator.domain.decode import empty_batch, read
from aggregator.measures import measure_tables
from support.data.factories import FakeRecord, correction, organization, rate, records
from support.faults.failing_rows import ALL, GOOD, check_proof, credits_of, failing, quarantined, use_of
from support.services.aggregator import CATALOG, TOPIC, TOPICS, Aggregator

pytestmark = pytest.mark.expected_errors("organization in quarantine")

STEPS = {
    "rating": ("usage_series", "organization_id", ""),
    "ledger": ("usage_ledger", "organization_id", ""),
    "quarter hours": ("usage_15m", "organization_id", ""),
    "days": ("usage_daily", "organization_id", ""),
    "months": ("usage_monthly", "organization_id", ""),
    "organization days": ("usage_organization_daily", "organization_id", ""),
    "agents": ("agent_sightings", "organization_id", ""),
    "totals": ("totals_outbox", "organization_id", ""),
}
"""Tables whose trigger raises for one organization, as a defect of a column or index would."""


@pytest.mark.parametrize("step", STEPS)
async def test_one_organizations_failure_is_set_aside_for_it_alone(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]", step: str
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    first = [use_of(name) for name in ALL]
    async with failing(owner, STEPS[step][0]):
        outcome = await aggregator.count(records(first), records([use_of("org_a")], partition=1))
        assert len(outcome.counted) == len(GOOD)
        assert len(outcome.quarantined) == 2
        assert await credits_of(aggregator) == dict.fromkeys(GOOD, 1_000_000)
        assert await quarantined(aggregator) == [("org_a", "aggregator", "counting", 1)]
        reason = await aggregator.pool.fetchval("SELECT reason FROM quarantine")
        assert "RaiseError P0001: a defect of …" in reason
        await check_proof(aggregator)
        # While it waits, later records wait too: in order, and without being decoded.
        again = await aggregator.count(records([first[0], use_of("org_a"), use_of("org_b")], first=len(first)))
        assert len(again.counted) == 1
        assert len(again.quarantined) == 2
        assert await aggregator.retry() == 0
        assert await quarantined(aggregator) == [("org_a", "aggregator", "counting", 2)]
        await check_proof(aggregator)
    assert await aggregator.retry() == 4
    assert await quarantined(aggregator) == []
    assert await credits_of(aggregator) == {**dict.fromkeys(GOOD, 1_000_000), "org_a": 3_000_000, "org_b": 2_000_000}
    assert [row["duplicate"] for row in await aggregator.progress()] == [1, 0]
    await check_proof(aggregator)
    await aggregator.check_grains()
    assert (await aggregator.count(records([use_of("org_a")], first=len(first) + 3))).counted


async def test_folding_that_fails_for_one_organization(aggregator: Aggregator) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    known = aggregator.catalog.organizations["org_a"]
    broken: Any = ["not a zone"]
    aggregator.catalog.organizations["org_a"] = known._replace(time_zone=broken)
    outcome = await aggregator.count(records([use_of(name) for name in ALL]))
    assert len(outcome.counted) == len(GOOD)
    assert "folding: TypeError in fold" in await aggregator.pool.fetchval("SELECT reason FROM quarantine")
    aggregator.catalog.organizations["org_a"] = known
    assert await aggregator.retry() == 1
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_rating_that_fails_for_one_organization(aggregator: Aggregator) -> None:
    await aggregator.learn(*(organization(name) for name in ALL), rate())
    tokens = [use_of(name, feature_kind="model", feature="gpt", quantity="2000", unit="tokens") for name in ALL]
    await aggregator.learn(*(rate(product="agents", subject=name) for name in ALL))
    broken = aggregator.catalog.card._rates["org_a", "agents", "model", "*", "tokens"]
    right = broken.copy()
    broken[:] = [at._replace(per=0) for at in broken]
    outcome = await aggregator.count(records(tokens))
    assert len(outcome.counted) == len(GOOD)
    assert "rating: ZeroDivisionError in round_half_even" in await aggregator.pool.fetchval(
        "SELECT reason FROM quarantine"
    )
    broken[:] = right
    aggregator.catalog.card._found.clear()
    aggregator.catalog.card._stretches.clear()
    aggregator.catalog.card._timelines.clear()
    assert await aggregator.retry() == 1
    await check_proof(aggregator)


async def test_corrections_wait_in_order_with_their_originals(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    original = use_of("org_a", credits="5")
    too_much = correction(original, "-4")
    async with failing(owner, "usage_corrections"):
        await aggregator.count(records([original, correction(original, "-3"), use_of("org_b")]))
        await aggregator.count(records([too_much], first=3))
    assert await aggregator.retry() == 3
    assert await credits_of(aggregator) == {"org_a": 2_000_000, "org_b": 1_000_000}
    assert await aggregator.pool.fetchval("SELECT kafka_offset FROM dead_letter_outbox") == 3
    await check_proof(aggregator)
    await aggregator.check_grains()


@pytest.mark.parametrize("known", [1, 2, 3, 5, 30])
async def test_however_many_fail_all_others_count(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]", known: int
) -> None:
    """One defective product may affect most of a few customers, and may be a defect of our code."""
    names = [f"org_{at:02}" for at in range(known)]
    failing_names, good = names[: known // 2 + 1], names[known // 2 + 1 :]
    await aggregator.learn(*(organization(name) for name in names))
    async with failing(owner, "usage_daily", *failing_names):
        first = await aggregator.count(records([use_of(name) for name in names]))
        assert (len(first.counted), len(first.quarantined)) == (len(good), len(failing_names))
        many = f"counting fails for {len(failing_names)} of {known} organizations"
        assert await find_widespread(aggregator.pool) == many
        await aggregator.count(records([use_of(name) for name in names], first=known))
        await aggregator.learn(organization("org_new"))
        assert len((await aggregator.count(records([use_of("org_new")], first=2 * known))).counted) == 1
        assert await aggregator.retry() == 0
        await check_proof(aggregator)
    assert await aggregator.retry() == 2 * len(failing_names)
    assert await credits_of(aggregator) == {**dict.fromkeys(names, 2_000_000), "org_new": 1_000_000}
    assert await find_widespread(aggregator.pool) is None
    await check_proof(aggregator)


async def test_usage_that_fails_for_all_organizations_waits_and_is_reported(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    await owner.execute("ALTER TABLE usage_daily ADD CONSTRAINT wrong CHECK (credits < 0) NOT VALID")
    outcome = await aggregator.count(records([use_of(name) for name in ALL]))
    assert len(outcome.quarantined) == 5
    assert await find_widespread(aggregator.pool) == "counting fails for 5 of 5 organizations"
    await owner.execute("ALTER TABLE usage_daily DROP CONSTRAINT wrong")
    assert await aggregator.retry() == 5
    assert await credits_of(aggregator) == dict.fromkeys(ALL, 1_000_000)
    await check_proof(aggregator)


async def test_a_search_that_takes_too_long_sets_aside_who_is_not_tried(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    reading = empty_batch()
    read(records([use_of(name) for name in ALL]), reading)
    await load_progress(aggregator.pool, TOPIC, reading.spans)
    async with failing(owner, "usage_daily"):
        outcome = await count_batch(aggregator.pool, TOPICS, reading, aggregator.catalog, trials_s=-1)
        assert len(outcome.quarantined) == 5
        assert await aggregator.retry() == 4
        assert await credits_of(aggregator) == dict.fromkeys(GOOD, 1_000_000)
    assert await aggregator.retry() == 1
    await check_proof(aggregator)


async def test_a_batch_that_takes_too_long_by_one_organizations_work_is_counted_without_it(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_daily", code="57014"):
        outcome = await aggregator.count(records([use_of(name) for name in ALL]))
        assert len(outcome.counted) == len(GOOD)
        assert await quarantined(aggregator) == [("org_a", "aggregator", "counting", 1)]
    assert await aggregator.retry() == 1
    await check_proof(aggregator)


async def test_a_server_that_is_slow_for_all_quarantines_no_organization(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_daily", *ALL, code="57014"):
        for _ in range(SLOW_MAX + 1):
            with pytest.raises(asyncpg.QueryCanceledError):
                await aggregator.count(records([use_of(name) for name in ALL]))
    assert await quarantined(aggregator) == []
    assert len((await aggregator.count(records([use_of(name) for name in ALL]))).counted) == 5


async def test_a_batch_of_one_organization_alone_that_takes_too_long_again_and_again(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_daily", code="57014"):
        for _ in range(SLOW_MAX - 1):
            with pytest.raises(asyncpg.QueryCanceledError):
                await aggregator.count(records([use_of("org_a")]))
        assert len((await aggregator.count(records([use_of("org_a")]))).quarantined) == 1
    assert await aggregator.retry() == 1
    await check_proof(aggregator)


async def test_statements_of_a_batch_end_sooner_than_a_process_that_stands_still(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with aggregator.pool.acquire() as connection, connection.transaction():
        await load_progress(aggregator.pool, CATALOG, [0])
        await hold_catalog(connection, CATALOG, aggregator.catalog)
        assert await connection.fetchval("SHOW statement_timeout") == "20s"
        assert await connection.fetchval("SHOW lock_timeout") == "15s"


async def test_a_trial_that_waits_for_another_transaction_sets_no_organization_aside(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Its wait ends before its statements do, so it is not taken for slow usage."""
    await aggregator.learn(*(organization(name) for name in ALL))
    await aggregator.count(records([use_of(name) for name in ALL]))
    rows = "SELECT FROM usage_daily JOIN organizations USING (organization_id) WHERE organization = $1 FOR UPDATE OF usage_daily"
    async with (
        failing(owner, "usage_daily", code="57014"), aggregator.pool.acquire() as connection, connection.transaction(),
    ):  # fmt: skip
        await connection.execute(rows, GOOD[0])
        with pytest.raises(asyncpg.LockNotAvailableError):
            await aggregator.count(records([use_of(name) for name in ALL], first=len(ALL)))
        assert await quarantined(aggregator) == []


async def test_a_failure_without_an_organization_stops_the_process(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(organization("org_a"))
    await owner.execute("ALTER TABLE usage_daily RENAME COLUMN credits TO kredits")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await aggregator.count(records([use_of("org_a")]))
    assert await quarantined(aggregator) == []


async def test_a_full_disk_is_no_organizations_fault_for_retention(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(organization("org_a"))
    await aggregator.count(records([use_of("org_a")]))
    async with failing(owner, "ledger_seals", code="53100"):
        with pytest.raises(asyncpg.DiskFullError):
            await owner.execute("SELECT drop_expired_partitions(current_date + 480)")
    assert await quarantined(aggregator) == []
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger") == 1


async def test_who_retries_does_not_wait_for_a_quarantine_that_is_in_use(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Otherwise it would wait while it holds its partitions' locks, and block all of their usage."""
    await aggregator.learn(organization("org_a"))
    async with failing(owner, "usage_15m"):
        await aggregator.count(records([use_of("org_a")]))
    await owner.execute("UPDATE quarantine SET retry_at = now()")
    async with asyncio.timeout(10), owner.transaction():
        await owner.execute("SELECT FROM quarantine FOR SHARE")
        assert await retry_due(aggregator.pool, TOPICS, aggregator.catalog, aggregator.retrying) == (0, False)
    assert await retry_due(aggregator.pool, TOPICS, aggregator.catalog, aggregator.retrying) == (1, False)
    await check_proof(aggregator)


async def test_the_proof_knows_all_that_waits(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_ledger"):
        await aggregator.count(records([use_of(name) for name in (*ALL, "org_unknown")]))
    await measure_tables(aggregator.pool, TOPIC)
    assert (metrics.UNACCOUNTED._value.get(), metrics.QUARANTINED_RECORDS._value.get()) == (0, 1)
    assert metrics.HELD_OLDEST_SECONDS._value.get() > 0
    await owner.execute("DELETE FROM usage_held")
    await measure_tables(aggregator.pool, TOPIC)
    assert (metrics.UNACCOUNTED._value.get(), metrics.HELD_OLDEST_SECONDS._value.get()) == (1, 0)


class UnreadOnce(FakeRecord):
    """Raises in our code when it is first read, as a defect of the codec would."""

    def __getattribute__(self, name: str) -> Any:
        if name == "timestamp" and self.__dict__.pop("is_broken", False):
            raise ZeroDivisionError
        return super().__getattribute__(name)


async def test_a_record_that_our_code_cannot_read_waits_for_its_organization(aggregator: Aggregator) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    broken = UnreadOnce(json.dumps(use_of("org_a")).encode(), 0)
    broken.__dict__["is_broken"] = True
    outcome = await aggregator.count([broken, *records([use_of(name) for name in GOOD], first=1)])
    assert (len(outcome.counted), len(outcome.quarantined)) == (len(GOOD), 1)
    assert "reading: ZeroDivisionError" in await aggregator.pool.fetchval("SELECT reason FROM quarantine")
    assert await aggregator.retry() == 1
    assert await credits_of(aggregator) == dict.fromkeys(ALL, 1_000_000)
    await check_proof(aggregator)
