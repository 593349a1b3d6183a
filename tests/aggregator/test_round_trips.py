"""The number of statements of a transaction does not grow with the events of an organization: all others wait meanwhile."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from aggregator.catalog.rates import RATES_PER_MONTH
from aggregator.db.statements import SQL
from flexcredits_schemas.identity import OTHER
from runtime.postgres.pool import Connection
from support.data.factories import contract, correction, event, organization, rate, records, usage
from support.faults.failing_rows import failing, quarantined
from support.infra.stack import Database
from support.services.aggregator import CATALOG, Aggregator

NAMES = {text: name for name, text in SQL.items()}


class Statements(Counter[str]):
    """Counts the statements of a pool by name."""

    @contextmanager
    def of(self) -> Iterator["Statements"]:
        self.clear()
        yield self

    async def listen(self, connection: Connection) -> None:
        connection.add_query_logger(lambda query: self.update([NAMES.get(query.query, "other")]))


@pytest.fixture
def statements() -> Statements:
    return Statements()


@pytest.fixture
async def aggregator(database: Database, statements: Statements) -> AsyncIterator[Aggregator]:
    dsn = database.roles["flexcredits_aggregator"]
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4, init=statements.listen) as pool:
        yield Aggregator(pool)


def agent_usage(number: int) -> dict[str, Any]:
    return usage(product="agents", credits="5", agent={"id": f"a{number}", "kind": "unsaved"})


async def test_corrections_that_are_sent_again_beyond_the_limit_of_series(
    aggregator: Aggregator, statements: Statements
) -> None:
    """Their series is that of the original, so each is compared by its names."""
    aggregator.catalog.series_per_month = 1
    await aggregator.learn(organization())
    used = [agent_usage(number) for number in range(60)]
    await aggregator.count(records(used))
    corrections = [correction(at, "-1") for at in used]
    await aggregator.count(records(corrections, first=60))
    assert await aggregator.pool.fetchval("SELECT count(*) FROM usage_series WHERE agent_id = $1", OTHER) == 1
    aggregator.catalog.series_per_month = 1000
    aggregator.catalog.forget_folded_series()
    numbers, offset = [], 120
    for copies in (corrections[:2], corrections[2:]):
        with statements.of() as counted:
            outcome = await aggregator.count(records(copies, first=offset))
        offset += len(copies)
        assert outcome.duplicate_number == len(copies)
        numbers.append(counted.total())
    assert numbers[1] <= numbers[0]
    assert await aggregator.total() == 60 * 4_000_000


async def test_held_corrections_that_are_rejected(aggregator: Aggregator, statements: Statements) -> None:
    await aggregator.learn(organization())
    originals = [usage(credits="5") for _ in range(60)]
    await aggregator.count(records([correction(at, "-6") for at in originals]))
    await aggregator.count(records(originals, first=60))
    with statements.of() as counted:
        await aggregator.release()
    assert counted["delete_held_ledger"] == 1
    assert [row["rejected"] for row in await aggregator.progress()] == [60]


DIRECTORY: dict[str, dict[str, Any]] = {
    "member": {"email": "ada@acme.example", "role": "admin"},
    "actor": {"id": "p_ada", "display_name": "Ada", "groups": ["g1"]},
    "group": {"id": "g1", "name": "Sales"},
    "agent": {"id": "a1", "state": "saved", "name": "Report"},
    "feature": {
        "product": "assistant",
        "feature_kind": "tool",
        "feature": "search",
        "category": "Research",
        "effective_from": "2026-01-01",
    },
}


def directory_events(number: int, name: str = "org_acme") -> list[dict[str, Any]]:
    """One event of each type that only writes its own rows."""
    own: dict[str, dict[str, Any]] = {
        "member": {"email": f"p{number}@acme.example"}, "actor": {"id": f"p{number}"}, "group": {"id": f"g{number}"},
        "agent": {"id": f"a{number}"}, "feature": {"feature": f"f{number}"},
    }  # fmt: skip
    return [event(f"flexcredits.{kind}.v1", data | own[kind], subject=name) for kind, data in DIRECTORY.items()]


async def count_rows(aggregator: Aggregator) -> list[int]:
    tables = "members", "actors", "actor_groups", "people_groups", "agents", "features"
    return [await aggregator.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]


async def test_a_directory_that_is_sent_as_a_whole(aggregator: Aggregator, statements: Statements) -> None:
    with statements.of() as counted:
        await aggregator.learn(*(sent for number in range(200) for sent in directory_events(number)))
    assert counted.total() < 40, counted
    assert await count_rows(aggregator) == [200] * 6
    row = await aggregator.pool.fetchrow(
        "SELECT next_offset, counted FROM partition_progress WHERE topic = $1", CATALOG
    )
    assert row is not None
    assert tuple(row) == (1000, 1000)
    assert await aggregator.pool.fetch("SELECT organization_id FROM alert_wakeups") == [(1,)], (
        "one evaluation is enough"
    )


@pytest.mark.expected_errors("catalog events in quarantine")
async def test_an_event_of_a_directory_that_fails_leaves_the_others(aggregator: Aggregator, owner: Connection) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    sent = [at for number in range(20) for name in ("org_a", "org_b") for at in directory_events(number, name)]
    async with failing(owner, "actors"):
        await aggregator.learn(*sent)
        assert await quarantined(aggregator) == [("org_a", "aggregator", "catalog", 1)]
        assert await count_rows(aggregator) == [40, 20, 20, 40, 40, 40]
    assert await aggregator.retry() == 20
    assert await count_rows(aggregator) == [40] * 6


async def test_rates_beyond_the_limit(aggregator: Aggregator, owner: Connection, statements: Statements) -> None:
    await aggregator.learn(organization(), rate(subject="org_acme"))
    await owner.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source,"
        " event_id) SELECT organization_id, product, feature_kind, feature, unit, 1, 1, received_at, -n, 'more', n::text"
        " FROM rates, generate_series(1, $1) AS n",
        RATES_PER_MONTH - 2,
    )
    last = rate(subject="org_acme", unit="last")
    with statements.of() as counted:
        await aggregator.learn(last, *(rate(subject="org_acme") for _ in range(20)))
    assert counted["insert_rate"] == 1
    with statements.of() as counted:
        await aggregator.learn(last, *(rate(subject="org_acme") for _ in range(500)), rate(unit="of_all"))
    assert counted.total() < 40, counted
    assert await owner.fetchval("SELECT count(*) FROM dead_letter_outbox WHERE pointer = '/data'") == 520
    assert await owner.fetchval("SELECT count(*) FROM rates") == RATES_PER_MONTH + 1


async def test_a_contract_with_many_add_ons(aggregator: Aggregator, statements: Statements) -> None:
    add_ons = [{"name": f"Pack {number}", "credits": "1", "included": False} for number in range(50)]
    with statements.of() as counted:
        await aggregator.learn(organization(), contract(add_ons=add_ons))
    assert counted["insert_add_on"] == 1
    assert counted.total() < 60, counted
    assert await aggregator.pool.fetchval("SELECT count(*) FROM add_ons") == 50


async def test_rates_that_are_sent_again_near_the_limit(
    aggregator: Aggregator, owner: Connection, statements: Statements
) -> None:
    sent = [rate(subject="org_acme") for _ in range(100)]
    await aggregator.learn(organization(), *sent)
    await owner.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source,"
        " event_id) SELECT organization_id, product, feature_kind, feature, unit, 1, 1, received_at, -n, 'more', n::text"
        " FROM (SELECT * FROM rates LIMIT 1) AS one, generate_series(1, $1) AS n",
        RATES_PER_MONTH - 150,
    )
    with statements.of() as counted:
        await aggregator.learn(*sent)
    assert counted.total() < 30, counted
    assert await owner.fetchval("SELECT count(*) FROM rates") == RATES_PER_MONTH - 50
