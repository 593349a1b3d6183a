"""If one organization's data makes a step fail, only that organization is quarantined; others are counted, and it is counted later."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aggregator import metrics
from aggregator.backlog.quarantined import (
    EVENT_ATTEMPTS_MAX,
    EVENT_WAITS_MIN_MS,
    EVENTS_AT_ONCE,
    find_widespread,
    retry_due,
)
from aggregator.catalog.zone_rules import note_unknown_zones
from aggregator.consumer.isolation import SLOW_MAX, count_batch
from aggregator.db.catalog_cache import hold_catalog
from aggregator.db.progress import load_progress
from aggregator.db.quarantine import SUMS, quarantine
from aggregator.db.sums import unlimit_due
from aggregator.domain.decode import empty_batch, read
from aggregator.domain.sum_limit import FAR_MAX, FAR_S, SMALL_MAX, SUM_LIMIT, SUM_MAX, Gross, is_far
from aggregator.measures import measure_tables
from flexcredits_schemas.zones import TZ_VERSION
from support.data.factories import FakeRecord, correction, organization, rate, records, usage
from support.infra.stack import Database
from support.services.aggregator import CATALOG, TOPIC, TOPICS, Aggregator

GOOD = ("org_b", "org_c", "org_d", "org_e")
ALL = ("org_a", *GOOD)
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


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def failing(
    owner: "asyncpg.Connection[asyncpg.Record]", table: str, *names: str, when: str = "INSERT OR UPDATE",
    code: str = "P0001",
) -> AsyncIterator[None]:  # fmt: skip
    """During the block, every write of these organizations (default org_a) to a table raises."""
    name, *_ = names = names or ("org_a",)
    numbers = await owner.fetchval(
        "SELECT array_agg(organization_id) FROM organizations WHERE organization = ANY ($1)", names
    )
    await owner.execute(
        "CREATE FUNCTION raise_for_one() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.organization_id = ANY (ARRAY{numbers}) THEN RAISE EXCEPTION 'a defect of ''{name}''' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
    )
    await owner.execute(f"CREATE TRIGGER defect BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION raise_for_one()")
    yield
    await owner.execute("DROP FUNCTION raise_for_one CASCADE")


def use_of(name: str, **data: Any) -> dict[str, Any]:
    agent = {"id": "agt_1", "name": "Report", "kind": "saved"}
    return usage(product="agents", agent=agent, envelope={"subject": name}, **data)


async def credits_of(aggregator: Aggregator) -> dict[str, int]:
    rows = await aggregator.pool.fetch(
        "SELECT o.organization, sum(d.credits)::bigint AS credits FROM usage_organization_daily d JOIN organizations o USING (organization_id)"
        " GROUP BY 1"
    )
    return {row["organization"]: row["credits"] for row in rows}


async def quarantined(aggregator: Aggregator) -> list[tuple[str, str, str, int]]:
    rows = await aggregator.pool.fetch(
        "SELECT o.organization, q.component, q.step, q.attempts FROM quarantine q JOIN organizations o USING (organization_id) ORDER BY 1, 3"
    )
    return [tuple(row) for row in rows]


async def check_proof(aggregator: Aggregator) -> None:
    waiting = await aggregator.pool.fetchval(
        "SELECT (SELECT count(*) FROM usage_held) + (SELECT count(*) FROM quarantined_records WHERE topic = $1)", TOPIC
    )
    progress = await aggregator.progress()
    assert sum(row["held"] for row in progress) == waiting
    hours = await aggregator.pool.fetchrow(
        "SELECT sum(counted)::bigint, sum(duplicate)::bigint, sum(rejected)::bigint, sum(held)::bigint FROM partition_hours"
    )
    assert hours is not None
    assert [*hours] == [sum(row[name] for row in progress) for name in ("counted", "duplicate", "rejected", "held")]
    await aggregator.total()


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
    aggregator.catalog.card._covering.clear()
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
    assert aggregator.catalog.changes - changes == 2, "one for each transaction that applied some"
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


MOST = "999999999"


async def waits(aggregator: Aggregator) -> dict[str, int]:
    rows = await aggregator.pool.fetch("SELECT waits_for, count(*) AS number FROM usage_held GROUP BY 1")
    return {row["waits_for"]: row["number"] for row in rows}


async def test_usage_beyond_the_sum_limit_is_held_and_others_are_counted(aggregator: Aggregator) -> None:
    """9,300 events of 999,999,999 credits caused `bigint out of range` for all organizations, at every retry."""
    await aggregator.learn(*(organization(name) for name in ALL))
    huge = [use_of("org_a", credits=MOST) for _ in range(9_300)]
    outcome = await aggregator.count(records([*huge, *(use_of(name) for name in GOOD)]))
    assert len(outcome.counted) == SUM_MAX // 999_999_999_000_000 + len(GOOD)
    assert await waits(aggregator) == {SUM_LIMIT: 9_300 + len(GOOD) - len(outcome.counted)}
    assert await quarantined(aggregator) == [("org_a", "aggregator", "sums", 1)]
    totals = await credits_of(aggregator)
    assert totals["org_a"] <= SUM_MAX
    assert {name: totals[name] for name in GOOD} == dict.fromkeys(GOOD, 1_000_000)
    await check_proof(aggregator)
    # The limit also holds in another batch, partition, product and process. Small amounts still count.
    other = Aggregator(aggregator.pool)
    other.catalog_events = aggregator.catalog_events
    other.catalog.version = other.catalog_events
    other.catalog.changes = -1
    await other.refresh()
    more = [usage(product="assistant", credits=MOST, envelope={"subject": "org_a"}) for _ in range(5_000)]
    outcome = await other.count(records([*more, use_of("org_a"), use_of("org_b")], partition=1))
    assert len(outcome.counted) == 2
    assert len(outcome.held) == 5_000
    assert await aggregator.release() == 0
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_sums_grow_to_their_limit_in_small_batches(aggregator: Aggregator) -> None:
    """No batch is large by itself: 9 events of nearly 10^9 credits each."""
    await aggregator.learn(organization("org_a"))
    await aggregator.pool.execute(
        "INSERT INTO usage_organization_monthly VALUES ((SELECT organization_id FROM organizations WHERE organization = 'org_a'),"
        " '2025-01-01', 'api', 7, $1, 1)",
        SUM_MAX - 12 * 10**15,
    )
    results = []
    for batch in range(3):
        outcome = await aggregator.count(records([use_of("org_a", credits=MOST) for _ in range(9)], first=9 * batch))
        results.append((len(outcome.counted), len(outcome.held)))
    assert results == [(9, 0), (3, 6), (0, 9)]


async def test_large_sums_far_from_their_limit_are_not_added_up_for_every_batch(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"))
    await aggregator.count(records([use_of("org_a", credits="10000001")]))
    [(number, seen)] = aggregator.catalog.gross.items()
    assert seen.credits == 10_000_001_000_000
    await aggregator.count(records([use_of("org_a")], first=1))
    assert aggregator.catalog.gross[number] == seen, "not queried again"
    await aggregator.count(records([use_of("org_a", credits="10000001")], first=2))
    assert aggregator.catalog.gross[number].credits == 20_000_003_000_000, "a batch this large always queries"
    for gross, added, later in ((FAR_MAX, 0, 1.0), (0, SMALL_MAX + 1, 1.0), (0, 0, FAR_S)):
        assert not is_far(Gross(gross, 5.0), added, 5.0 + later)
    assert is_far(Gross(FAR_MAX - 1, 5.0), SMALL_MAX, 6.0)


async def test_held_usage_is_released_up_to_the_limit(aggregator: Aggregator) -> None:
    await aggregator.count(records([use_of("org_a", credits=MOST) for _ in range(1_300)]))
    original = use_of("org_a", credits="5")
    await aggregator.count(records([original], first=1_300))
    await aggregator.learn(organization("org_a"))
    assert await aggregator.release() == 1_001
    assert await waits(aggregator) == {SUM_LIMIT: 300}
    assert await aggregator.release() == 0
    assert await aggregator.retry() == 0  # until an operator requests it
    assert await aggregator.release() == 0
    assert await waits(aggregator) == {SUM_LIMIT: 300}
    # A correction beyond the limit waits as well.
    await aggregator.count(records([correction(use_of("org_a"), "1")], first=1_301))
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_what_is_beyond_the_limit_is_counted_only_on_request(aggregator: Aggregator) -> None:
    """Also if there is room, and the same series has a correction that waits for its original."""
    await aggregator.count(records([use_of("org_a")]))
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")
    await aggregator.learn(organization("org_a"))
    await aggregator.count(records([correction(use_of("org_a"), "-1")], first=1))
    assert await aggregator.release() == 0
    assert await waits(aggregator) == {SUM_LIMIT: 1, "original": 1}
    await aggregator.retry()
    assert await waits(aggregator) == {SUM_LIMIT: 1, "original": 1}, "no operator requested it"
    async with aggregator.pool.acquire() as connection:
        await quarantine(connection, SUMS, [(aggregator.catalog.organizations["org_a"].organization_id, "")])
    await aggregator.retry()
    assert await aggregator.release() == 1
    await check_proof(aggregator)


async def test_what_is_beyond_the_limit_is_asked_for_in_portions(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"))
    number = aggregator.catalog.organizations["org_a"].organization_id
    assert not await unlimit_due(aggregator.pool, aggregator.catalog)
    for partition in range(2):
        sent = [use_of("org_a", feature="unrated", quantity="5", unit="pages") for _ in range(3)]
        await aggregator.count(records(sent, partition=partition))
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")
    async with aggregator.pool.acquire() as connection:
        await quarantine(connection, SUMS, [(number, "")])
    await aggregator.pool.execute("UPDATE quarantine SET retry_at = now()")
    assert await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 2, "rate": 4}
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")  # none of them fits
    assert await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 4, "rate": 2}
    assert len(await quarantined(aggregator)) == 1
    assert not await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 4, "rate": 2}, "once per request"
    assert await quarantined(aggregator) == []


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
