"""If held usage or a catalog event of one organization fails, only that organization is quarantined."""

import asyncpg
import pytest
from aggregator.backlog.quarantined import (
    EVENT_ATTEMPTS_MAX,
    EVENT_WAITS_MIN_MS,
    EVENTS_AT_ONCE,
    find_widespread,
)
from aggregator.catalog.zone_rules import note_unknown_zones
from flexcredits_schemas.zones import TZ_VERSION
from support.data.factories import organization, rate, records
from support.faults.failing_rows import ALL, GOOD, check_proof, credits_of, failing, quarantined, use_of
from support.services.aggregator import Aggregator

pytestmark = pytest.mark.expected_errors(
    "organization in quarantine", "held usage not released", "catalog events in quarantine"
)


async def test_held_usage_that_fails_for_all_who_have_any_leaves_the_others(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of(f"org_{at}") for at in range(3)]))
    await aggregator.learn(*(organization(f"org_{at}") for at in range(7)))
    await owner.execute("ALTER TABLE usage_daily ADD CONSTRAINT wrong CHECK (credits < 0) NOT VALID")
    assert await aggregator.release() == 0
    assert await quarantined(aggregator) == [(f"org_{at}", "aggregator", "release", 1) for at in range(3)]
    await aggregator.learn(*(organization(f"org_{at}") for at in range(3)))
    assert await aggregator.release() == 0
    assert await quarantined(aggregator) == [(f"org_{at}", "aggregator", "release", 2) for at in range(3)]


async def test_an_organization_without_a_known_time_zone_is_shown_until_an_event_names_another(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    await owner.execute("UPDATE organizations SET time_zone = 'Mars/Olympus' WHERE organization = 'org_a'")
    other = Aggregator(aggregator.pool)
    other.catalog_events = aggregator.catalog_events
    for _ in range(2):
        async with other.pool.acquire() as connection:
            await other.catalog.refresh(connection, other.catalog_events)
        await note_unknown_zones(other.pool, other.catalog.unknown_zones)
    assert await quarantined(other) == [("org_a", "aggregator", "time_zone", 1)]
    reason = await other.pool.fetchval("SELECT reason FROM quarantine")
    assert reason == f"time zone 'Mars/Olympus' is not in tz {TZ_VERSION}"
    outcome = await other.count(records([use_of(name) for name in ALL]))
    assert (len(outcome.counted), len(outcome.held)) == (len(GOOD), 1)
    await other.learn(organization("org_a", "Europe/Berlin"))
    await note_unknown_zones(other.pool, other.catalog.unknown_zones)
    assert await quarantined(other) == []
    assert await other.release() == 1


async def test_held_usage_that_fails_for_all_organizations_waits(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of(name) for name in ALL]))
    await aggregator.learn(*(organization(name) for name in ALL))
    await owner.execute("ALTER TABLE usage_daily ADD CONSTRAINT wrong CHECK (credits < 0) NOT VALID")
    assert await aggregator.release() == 0
    assert [at[2:] for at in await quarantined(aggregator)] == [("release", 1)] * 5
    assert await find_widespread(aggregator.pool) == "release fails for 5 of 5 organizations"
    await owner.execute("ALTER TABLE usage_daily DROP CONSTRAINT wrong")
    await aggregator.pool.execute("UPDATE quarantine SET retry_at = now()")
    assert await aggregator.release() == 5
    await check_proof(aggregator)


async def test_catalog_events_that_fail_for_all_organizations_wait(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(*(organization(name) for name in ALL))
    await owner.execute("ALTER TABLE rates ADD CONSTRAINT wrong CHECK (credits < 0) NOT VALID")
    await aggregator.learn(*(rate(subject=name) for name in ALL))
    assert await quarantined(aggregator) == [(name, "aggregator", "catalog", 1) for name in ALL]
    await owner.execute("ALTER TABLE rates DROP CONSTRAINT wrong")
    assert await aggregator.retry() == len(ALL)
    assert await quarantined(aggregator) == []


async def test_held_usage_of_one_that_cannot_be_released_leaves_the_others(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of(name) for name in ALL]))
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_15m"):
        assert await aggregator.release() == len(GOOD)
        assert await quarantined(aggregator) == [("org_a", "aggregator", "release", 1)]
        assert await aggregator.release() == 0
        assert await quarantined(aggregator) == [("org_a", "aggregator", "release", 1)], "not before its time"
        await check_proof(aggregator)
    assert await aggregator.release() == 0
    await aggregator.learn(organization("org_a"))  # an event of its own: retried at once
    assert await aggregator.release() == 1
    assert await quarantined(aggregator) == []
    assert await credits_of(aggregator) == dict.fromkeys(ALL, 1_000_000)
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_a_failing_catalog_event_waits_and_usage_follows_it(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of(name) for name in ALL]))
    async with failing(owner, "organizations", when="UPDATE"):
        await aggregator.learn(*(organization(name) for name in ALL))
        assert await aggregator.release() == len(GOOD)
        assert await quarantined(aggregator) == [("org_a", "aggregator", "catalog", 1)]
        row = await aggregator.pool.fetchrow("SELECT * FROM partition_progress WHERE topic = 'usage.catalog.v1'")
        assert row is not None
        assert (row["next_offset"], row["counted"], row["held"]) == (5, 4, 1)
        assert await aggregator.retry() == 0
    assert await aggregator.retry() == 1
    assert await quarantined(aggregator) == []
    assert await aggregator.release() == 1
    assert await credits_of(aggregator) == dict.fromkeys(ALL, 1_000_000)
    row = await aggregator.pool.fetchrow("SELECT * FROM partition_progress WHERE topic = 'usage.catalog.v1'")
    assert row is not None
    assert (row["counted"], row["held"]) == (5, 0)
    await check_proof(aggregator)


async def test_a_catalog_event_that_never_works_becomes_a_dead_letter(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of("org_a")]))
    async with failing(owner, "rates"):
        await aggregator.learn(*(organization(name) for name in ALL), rate(subject="org_a"))
        for _ in range(EVENT_ATTEMPTS_MAX + 3):
            assert await aggregator.retry() == 0, "as many tries as other catalog events cause in a few seconds"
        await owner.execute(
            "UPDATE quarantined_records SET received_at = received_at - make_interval(secs => $1)",
            EVENT_WAITS_MIN_MS / 1000,
        )
        assert await aggregator.retry() == 1
    assert await quarantined(aggregator) == []
    reason = await aggregator.pool.fetchval("SELECT reason FROM dead_letter_outbox")
    assert reason == "cannot be applied: RaiseError P0001: a defect of …"


async def test_many_quarantined_catalog_events_are_tried_in_short_transactions(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """No usage is counted during one of these transactions."""
    await aggregator.learn(organization("org_a"))
    await owner.execute("ALTER TABLE rates ADD CONSTRAINT wrong CHECK (credits < 0) NOT VALID")
    bad = [rate(subject="org_a", feature=f"bad_{at}") for at in range(EVENTS_AT_ONCE + 20)]
    good = [rate(subject="org_a", feature=f"good_{at}") for at in range(EVENTS_AT_ONCE + 20)]
    await aggregator.learn(*bad, *good)
    await owner.execute("ALTER TABLE rates DROP CONSTRAINT wrong")
    await owner.execute("ALTER TABLE rates ADD CONSTRAINT wrong CHECK (feature NOT LIKE 'bad%') NOT VALID")
    changes = aggregator.catalog.changes
    assert await aggregator.retry() == len(good)
    assert aggregator.catalog.changes - changes == 3, "one for each transaction that applied some"
    assert await quarantined(aggregator) == [("org_a", "aggregator", "catalog", 2)]
    await owner.execute("ALTER TABLE rates DROP CONSTRAINT wrong")
    assert await aggregator.retry() == len(bad)
    assert await quarantined(aggregator) == []


async def test_another_process_loads_a_catalog_event_that_was_applied_late(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(
        records([use_of("org_a"), use_of("org_a", feature_kind="model", feature="gpt", quantity="2000", unit="tokens")])
    )
    async with failing(owner, "rates"):
        await aggregator.learn(organization("org_a"), rate(subject="org_a", product="agents"))
    other = Aggregator(aggregator.pool)
    other.catalog_events = aggregator.catalog_events
    other.catalog.version = other.catalog_events
    await other.refresh()
    await aggregator.retry()
    assert await aggregator.release() == 2
    await other.refresh()
    outcome = await other.count(
        records([use_of("org_a", feature_kind="model", feature="gpt", quantity="3000", unit="tokens")], first=2)
    )
    assert [at.credits for at in outcome.counted] == [3_000_000]


async def test_what_takes_too_long_for_one_organization_is_put_off_for_it_alone(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([use_of(name) for name in ALL]))
    await aggregator.learn(*(organization(name) for name in ALL))
    async with failing(owner, "usage_15m", code="57014"):
        assert await aggregator.release() == len(GOOD)
    assert await quarantined(aggregator) == [("org_a", "aggregator", "release", 1)]
    async with failing(owner, "rates"):
        await aggregator.learn(rate(subject="org_a"))
    async with failing(owner, "usage_daily"):
        await aggregator.count(records([use_of("org_a"), use_of("org_b")], first=len(ALL)))
    waiting = [("org_a", "aggregator", step, 1) for step in ("catalog", "counting", "release")]
    assert await quarantined(aggregator) == waiting
    async with failing(owner, "rates", code="57014"):
        assert await aggregator.retry() == 1
    async with failing(owner, "usage_daily"):
        await aggregator.count(records([use_of("org_a")], first=len(ALL) + 2))
    async with failing(owner, "usage_daily", code="57014"):
        assert await aggregator.retry() == 1, "the catalog event"
    assert await quarantined(aggregator) == [
        ("org_a", "aggregator", "counting", 2),
        ("org_a", "aggregator", "release", 1),
    ]
    assert await aggregator.retry() == 1
    assert await aggregator.release() == 1
    assert await quarantined(aggregator) == []
