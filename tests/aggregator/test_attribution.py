"""Who is behind a use: its attribution and its run, in the ledger, in held usage, and in the sums of both."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator.domain.columns.heads import Heads
from aggregator.domain.decode import Kind
from flexcredits_schemas.identity import run_identity_of
from support.data.factories import correction, organization, rate, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator

pytestmark = pytest.mark.expected_errors("organization in quarantine")

TIME = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=123_456) - timedelta(days=1)
ANA: dict[str, Any] = {"actor": {"id": "ana"}}
WHO: dict[str, Any] = {"actor": {"id": "ana"}, "group": "research", "labels": {"team": "b", "cost": "7"}}
WAYS: list[dict[str, Any]] = [
    ANA,
    WHO,
    {"actor": {"id": "ana", "kind": "service_account"}},
    {"group": "research"},
    {"labels": {"team": "b"}},
    {"run": {"id": "r1", "parent_id": "r0"}},
    {**WHO, "run": {"id": "r1"}},
    {},
]


@pytest.fixture(params=[False, True], ids=["exact path", "columns"])
async def aggregator(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool, Heads() if request.param else None)


def used(credits: str = "2", seconds: float = 0, **data: Any) -> dict[str, Any]:
    return usage(credits=credits, envelope={"time": rfc3339(TIME + timedelta(seconds=seconds))}, **data)


async def who(here: Aggregator, table: str = "usage_ledger") -> list[tuple[Any, ...]]:
    """Kind, actor, group, labels and run of each row, in the order of the log."""
    rows = await here.pool.fetch(
        f"SELECT actor_kind, actor_id, group_id, labels::text, run FROM {table} LEFT JOIN usage_attributions USING"
        " (attribution_id) ORDER BY kafka_partition, kafka_offset"
    )
    return [tuple(row) for row in rows]


async def runs(here: Aggregator) -> list[dict[str, Any]]:
    rows = await here.pool.fetch(
        "SELECT run_id, parent_id, credits, events, first_at, last_at, agent_id, coalesce(actor_id, '') AS actor"
        " FROM usage_runs LEFT JOIN usage_attributions USING (attribution_id) ORDER BY run_id"
    )
    return [dict(row) for row in rows]


async def days(here: Aggregator) -> list[tuple[Any, ...]]:
    """Actor, group, feature, micro-credits and events. Equal to the sums of the ledger; months add up to the same."""
    rows = await here.pool.fetch(
        "SELECT day, attribution_id, series_id, credits, events FROM usage_attributed_daily"
        " WHERE credits <> 0 OR events <> 0 ORDER BY 1, 2, 3"
    )
    expected = await here.pool.fetch(
        "SELECT (occurred_at AT TIME ZONE o.time_zone)::date, attribution_id, series_id, sum(credits)::bigint,"
        " count(*) FILTER (WHERE corrects IS NULL) FROM usage_ledger JOIN organizations o USING (organization_id)"
        " WHERE NOT held AND attribution_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    assert rows == expected
    months = await here.pool.fetch(
        "SELECT organization_id, month, attribution_id, credits, events FROM usage_attributed_monthly ORDER BY 1, 2, 3"
    )
    assert months == await here.pool.fetch(
        "SELECT organization_id, date_trunc('month', day)::date, attribution_id, sum(credits)::bigint, sum(events)::bigint"
        " FROM usage_attributed_daily GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    named = await here.pool.fetch(
        "SELECT actor_id, group_id, feature, d.credits, d.events FROM usage_attributed_daily d"
        " JOIN usage_attributions USING (attribution_id) JOIN usage_series USING (series_id) ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in named]


async def check_runs(here: Aggregator) -> None:
    rows = await here.pool.fetch(
        "SELECT organization_id, run, credits, events, first_at, last_at FROM usage_runs ORDER BY 1, 2"
    )
    assert rows == await here.pool.fetch(
        "SELECT organization_id, run, sum(credits)::bigint, count(*) FILTER (WHERE corrects IS NULL), min(occurred_at) FILTER (WHERE corrects IS NULL),"
        " max(occurred_at) FILTER (WHERE corrects IS NULL) FROM usage_ledger WHERE NOT held AND run IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )


async def test_who_used_it_is_recorded(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used(**way) for way in WAYS]))
    r1 = asyncpg.pgproto.pgproto.UUID(run_identity_of("r1"))
    assert await who(aggregator) == [
        ("user", "ana", "", "{}", None),
        ("user", "ana", "research", '{"cost": "7", "team": "b"}', None),
        ("service_account", "ana", "", "{}", None),
        ("", "", "research", "{}", None),
        ("", "", "", '{"team": "b"}', None),
        (None, None, None, None, r1),
        ("user", "ana", "research", '{"cost": "7", "team": "b"}', r1),
        (None, None, None, None, None),
    ]
    assert sum(row[3] for row in await days(aggregator)) == 12_000_000
    assert [(at["run_id"], at["parent_id"], at["credits"], at["events"]) for at in await runs(aggregator)] == [
        ("r1", "r0", 4_000_000, 2)
    ]
    assert await aggregator.total() == 16_000_000


async def test_usage_without_actor_group_labels_and_run_touches_none_of_the_tables(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used(), used(labels={})]))
    for table in ("usage_attributions", "usage_attributed_daily", "usage_attributed_monthly", "usage_runs"):
        assert await aggregator.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_correction_follows_its_original(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = used("5", **WHO, run={"id": "r1"})
    await aggregator.count(records([first, correction(first, "-1", time=rfc3339(TIME + timedelta(hours=1)))]))
    await aggregator.count(records([correction(first, "-2.5")], first=2))
    assert len(set(await who(aggregator))) == 1
    assert sum(row[3] for row in await days(aggregator)) == 1_500_000
    [run] = await runs(aggregator)
    assert (run["credits"], run["events"], run["first_at"], run["last_at"]) == (1_500_000, 1, TIME, TIME)


async def test_a_correction_that_came_before_its_original_follows_it(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = used("5", **WHO, run={"id": "r1"})
    await aggregator.count(records([correction(first, "-1")]))
    assert await aggregator.total() == 0
    await aggregator.count(records([first], first=1))
    assert await aggregator.release() == 1
    assert len(set(await who(aggregator))) == 1
    assert sum(row[3] for row in await days(aggregator)) == 4_000_000
    await check_runs(aggregator)


async def test_held_usage_keeps_who_used_it_until_it_counts(aggregator: Aggregator) -> None:
    held = [used(**WHO, run={"id": "r1", "parent_id": "r0"}), used(seconds=60, **ANA, run={"id": "r1"}), used()]
    tokens = {**usage(feature_kind="model", feature="gpt", quantity="2000", unit="tokens", **WHO)}
    await aggregator.count(records([*held, tokens, correction(held[0], "-1")]))
    assert await aggregator.pool.fetchval("SELECT count(*) FROM usage_attributed_daily") == 0
    await aggregator.learn(organization(), rate())
    assert await aggregator.release() + await aggregator.release() == 5
    assert sum(row[3] for row in await days(aggregator)) == 5_000_000
    [run] = await runs(aggregator)
    assert (run["parent_id"], run["credits"], run["events"], run["actor"]) == ("r0", 3_000_000, 2, "ana")
    assert (run["first_at"], run["last_at"]) == (TIME, TIME + timedelta(seconds=60))


OTHERS: dict[str, dict[str, Any]] = {
    "actor": {"actor": {"id": "bob"}},
    "kind": {"actor": {"id": "ana", "kind": "service_account"}},
    "no actor": {"actor": None},
    "group": {"group": "sales"},
    "labels": {"labels": {"team": "b"}},
    "run": {"run": {"id": "r2"}},
    "no run": {"run": None},
}


@pytest.mark.parametrize("known", [True, False], ids=["counted", "held"])
@pytest.mark.parametrize("batches", [1, 2])
async def test_a_copy_that_differs_in_who_used_it_is_a_conflict(
    aggregator: Aggregator, batches: int, known: bool
) -> None:
    """Another parent of the run is none: producers may not know it yet."""
    if known:
        await aggregator.learn(organization())
    first = used(**WHO, run={"id": "r1", "parent_id": "r0"})
    others = [
        {**first, "data": {name: value for name, value in (first["data"] | other).items() if value is not None}}
        for other in OTHERS.values()
    ]
    same = {**first, "data": first["data"] | {"labels": {"cost": "7", "team": "b"}, "run": {"id": "r1"}}}
    log = records([first, *others, same])
    if batches == 1:
        outcome = await aggregator.count(log)
    else:
        await aggregator.count(log[:1])
        outcome = await aggregator.count(log[1:])
    assert sorted((at.record.offset, at.kind) for at in outcome.rejections) == [
        (number, Kind.CONFLICT) for number in range(1, len(OTHERS) + 1)
    ]
    assert outcome.duplicate_number == 1


async def test_copies_of_a_correction_have_no_attribution_of_their_own(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = used(**WHO, run={"id": "r1"})
    later = correction(first, "-1")
    await aggregator.count(records([first, later, later]))
    outcome = await aggregator.count(records([later], first=3))
    assert (outcome.duplicate_number, outcome.rejections) == (1, [])
    await days(aggregator)
    await check_runs(aggregator)


def run_history(chance: random.Random) -> list[dict[str, Any]]:
    """Uses of three runs; some at the same time, by several agents and people, and corrections of some."""
    sent = []
    for _ in range(40):
        run: dict[str, Any] = {"id": f"r{chance.randint(1, 3)}"}
        if chance.random() < 0.3:
            run["parent_id"] = chance.choice(["Z", "a", "é"])
        agent = {"id": chance.choice(["Bot", "bot", "übot"]), "kind": "saved"} if chance.random() < 0.7 else None
        actor = {"id": chance.choice(["ana", "bob"])} if chance.random() < 0.7 else None
        sent.append(used(f"{chance.randint(1, 9)}", chance.choice([0, 0, 1, 2]), run=run, agent=agent, actor=actor))
    return sent


def split(chance: random.Random, events: list[Any]) -> Iterator[list[Any]]:
    while events:
        number = chance.randint(1, len(events))
        yield events[:number]
        events = events[number:]


@pytest.mark.parametrize("seed", range(2))
async def test_any_order_of_batches_gives_the_same_runs(aggregator: Aggregator, seed: int) -> None:
    chance = random.Random(seed)
    history, found = run_history(chance), []
    await aggregator.learn(organization())
    # Numbers of attributions decide between uses at the same time: all orders here have the same.
    await aggregator.count(records([used(actor={"id": name}) for name in ("ana", "bob")], partition=9))
    for partition in range(2):
        offset = 0
        for batch in split(chance, history):
            await aggregator.count(records(batch, first=offset, partition=partition))
            offset += len(batch)
        await aggregator.count(records([correction(history[0], "-0.5")], first=offset, partition=partition))
        found.append(await runs(aggregator))
        await check_runs(aggregator)
        await aggregator.pool.execute("DELETE FROM usage_ledger")
        await aggregator.pool.execute("DELETE FROM usage_runs")
        chance.shuffle(history)
    first = {at["run_id"]: {**at, "credits": 0} for at in found[0]}
    assert first == {at["run_id"]: {**at, "credits": 0} for at in found[1]}
    assert len(first) == 3


async def test_the_longest_attribution_is_counted(aggregator: Aggregator) -> None:
    """Longer than a row of an index may be."""
    await aggregator.learn(organization())
    chance = random.Random(1)

    def text(length: int) -> str:
        return "".join(chr(chance.randrange(0x20000, 0x2A000)) for _ in range(length))

    labels = {chr(97 + n) * 32: text(64) for n in range(5)}
    await aggregator.count(records([used(actor={"id": text(254)}, group=text(128), labels=labels)]))
    assert await aggregator.total() == 2_000_000
    assert len(await days(aggregator)) == 1


@pytest.mark.parametrize(
    "table", ["usage_attributions", "usage_attributed_daily", "usage_attributed_monthly", "usage_runs"]
)
async def test_an_organization_whose_attributed_usage_fails_is_set_aside(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]", table: str
) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_b'")
    await owner.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.organization_id = {number} THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$"
    )
    await owner.execute(f"CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail()")
    events = [usage(envelope={"subject": name}, **WHO, run={"id": "r"}) for name in ("org_a", "org_b", "org_a")]
    await aggregator.count(records(events))
    assert await aggregator.total() == 2_000_000
    assert await owner.fetchval("SELECT organization_id FROM quarantine") == number
    await owner.execute(f"DROP TRIGGER fail ON {table}")
    assert await aggregator.retry() == 1
    assert await aggregator.total() == 3_000_000
    await days(aggregator)
    await check_runs(aggregator)


async def test_runs_are_deleted_with_the_ledger(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used(run={"id": f"r{number}"}) for number in range(5)]))
    kept = TIME.date() + timedelta(days=466)
    assert await owner.fetchval("SELECT delete_expired_runs($1, 100)", kept) == 0
    deleted = [
        await aggregator.pool.fetchval("SELECT delete_expired_runs($1, 2)", kept + timedelta(days=1)) for _ in range(4)
    ]
    assert deleted == [2, 2, 1, 0]
