"""Runs two sessions of the services' code on a real Postgres, in every order of their named steps."""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import asyncpg
import pytest
from aggregator.catalog.events import apply_catalog_events
from aggregator.consumer.isolation import count_batch
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import ProofBroken, load_progress, mark_caught_up
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import empty_batch, read
from alerter.db.statements import SQL as ALERTER_SQL
from query_api.db.session import read_as
from query_api.db.statements import SQL as API_SQL
from query_api.ledger.proof.queries import sum_ledger, sum_rollups
from query_api.live.queries import select_live_version
from simulation.replay import connect
from support.data.factories import FakeRecord, organization, records, usage
from support.data.table_rows import TableRows
from support.faults.interleaving import Session, Turns, interleave, schedules
from support.infra.stack import Database
from support.services.aggregator import CATALOG
from support.services.alerter import evaluator as make_evaluator
from support.services.alerter import firings, make_customer

numbers = count(1)
COUNTS = ("lock_progress", "insert_ledger", "add_quarters", "commit")
ALERTS = ("lock_state", "select_levels", "insert_firing", "commit")
MARKS = ("mark_caught_up",)
WRITES = ("insert_ledger", "add_quarters", "add_organization_days", "commit")
READS = ("select_organization", "sum_rollups", "sum_ledger", "select_live_version")
ALL = [*schedules(4, 4)]


class Sides:
    """A database, and two sessions on it at a time."""

    def __init__(self, database: Database, owner: Any, stack: AsyncExitStack) -> None:
        self.database = database
        self.owner = owner
        self._stack = stack
        self._connections: dict[tuple[int, str], Any] = {}

    async def side(self, at: int, role: str, sql: Mapping[str, str], named: Sequence[str], **otherwise: Any) -> Any:
        """A side; each schedule uses the same connection."""
        if (at, role) not in self._connections:
            dsn = self.database.roles[f"flexcredits_{role}"]
            self._connections[at, role] = await self._stack.enter_async_context(connect(dsn))
        return Turns(Session(self._connections[at, role], self.owner), sql, named, **otherwise)


@pytest.fixture
async def sides(database: Database) -> AsyncIterator[Sides]:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(connect(database.dsn))
        yield Sides(database, owner, stack)


async def aggregate(pool: Any, topic: str, batch: Sequence[FakeRecord]) -> BatchResult:
    """Count a batch as an aggregator does that has just loaded the catalog."""
    reading, known = empty_batch(), Catalog()
    read(batch, reading)
    async with pool.acquire() as connection:
        [progress] = await connection.fetch(SQL["select_progress"], CATALOG)
        await known.refresh(connection, progress["next_offset"])
    return await count_batch(pool, (topic, CATALOG), reading, known)


async def prepare(sides: Sides) -> tuple[str, str]:
    """A new topic and a new organization."""
    number = next(numbers)
    topic, name = f"usage.{number}", f"org_{number}"
    pool = await sides.side(0, "aggregator", {}, ())
    await load_progress(pool, CATALOG, [0])
    await load_progress(pool, topic, [0])
    position = await sides.owner.fetchval("SELECT next_offset FROM partition_progress WHERE topic = $1", CATALOG)
    await apply_catalog_events(pool, CATALOG, records([organization(name)], first=position))
    return topic, name


async def run(schedule: Sequence[int], both: Sequence[tuple[Turns, Awaitable[Any]]]) -> tuple[int, list[Any]]:
    sides = [side for side, _ in both]
    for side, work in both:
        await side.begin(work)
    try:
        waited = await interleave(schedule, sides)
        return waited, [await side.result() for side in sides]
    finally:
        for side in sides:
            await side.end()


async def count_twice(sides: Sides, schedule: Sequence[int], **otherwise: Any) -> tuple[int, dict[str, int]]:
    """Run an owner and a zombie that has the first half of the same records; returns their results."""
    topic, name = await prepare(sides)
    batch = records([usage(envelope={"subject": name}) for _ in range(4)])
    owner, zombie = [await sides.side(at, "aggregator", SQL, COUNTS, **otherwise) for at in (0, 1)]
    waited, _ = await run(
        schedule, [(owner, aggregate(owner, topic, batch)), (zombie, aggregate(zombie, topic, batch[:2]))]
    )
    row = await sides.owner.fetchrow(
        "SELECT next_offset, counted, duplicate, (SELECT coalesce(sum(credits), 0)::bigint FROM usage_15m WHERE organization_id = o.organization_id)"
        " AS quarters, (SELECT coalesce(sum(credits), 0)::bigint FROM usage_organization_daily WHERE organization_id = o.organization_id) AS days"
        " FROM partition_progress, organizations o WHERE topic = $1 AND organization = $2",
        topic, name,
    )  # fmt: skip
    return waited, dict(row)


EXACT = {"next_offset": 4, "counted": 4, "duplicate": 0, "quarters": 4_000_000, "days": 4_000_000}


async def test_owner_and_zombie_in_any_order_count_once(sides: Sides) -> None:
    waited = 0
    for schedule in ALL:
        times, found = await count_twice(sides, schedule)
        assert found == EXACT, schedule
        waited += times
    assert waited > len(ALL) / 2


async def test_without_the_fences_lock_some_order_fails(sides: Sides) -> None:
    without = {"lock_progress": SQL["lock_progress"].replace("FOR UPDATE", "")}
    with pytest.raises(ProofBroken, match="every_offset_has_one_result"):
        [await count_twice(sides, schedule, instead=without) for schedule in ALL]


SEEN = datetime(2027, 1, 1, tzinfo=UTC)
"""Later than the append time of any record here."""


async def mark_while_counting(sides: Sides, schedule: Sequence[int]) -> tuple[int, datetime | None]:
    """Mark the end of a log with four records at `SEEN` while they are counted. Returns the number of waits, and the time
    up to which totals are then complete."""
    topic, name = await prepare(sides)
    batch = records([usage(envelope={"subject": name}) for _ in range(4)])
    counting = await sides.side(0, "aggregator", SQL, COUNTS)
    marking = await sides.side(1, "aggregator", SQL, MARKS)
    waited, _ = await run(
        schedule,
        [(counting, aggregate(counting, topic, batch)), (marking, mark_caught_up(marking, topic, {0: 4}, SEEN))],
    )
    row = await sides.owner.fetchrow("SELECT end_offset, complete_to FROM partition_ends WHERE topic = $1", topic)
    assert row["end_offset"] == 4
    return waited, row["complete_to"]


async def test_the_watermark_waits_for_no_batch_and_is_complete_only_behind_a_commit(sides: Sides) -> None:
    for schedule in schedules(len(COUNTS), len(MARKS)):
        is_committed = schedule[-1] == 1
        assert await mark_while_counting(sides, schedule) == (0, SEEN if is_committed else None), schedule


@pytest.fixture
async def db(sides: Sides) -> TableRows:
    return TableRows(sides.owner)


async def alert_twice(sides: Sides, db: TableRows, schedule: Sequence[int], *, known: bool, **otherwise: Any) -> int:
    """Two alerters evaluate one organization with exactly 75 of 100 credits used, `known` to them or not."""
    customer = await make_customer(db, f"org_{next(numbers)}", total=100)
    if known:
        await db.execute("INSERT INTO alert_state (organization_id, evaluated_at) VALUES ($1, now())", customer.number)
    await customer.use(75)
    both = [await sides.side(at, "alerter", ALERTER_SQL, ALERTS, **otherwise) for at in (0, 1)]
    waited, _ = await run(schedule, [(side, make_evaluator(side).evaluate_one(customer.number)) for side in both])
    assert await firings(sides.owner, customer.number) == [(75, 1, "sent", None)], schedule
    mails = await sides.owner.fetch(
        "SELECT recipient, count(*) FROM email_outbox WHERE organization_id = $1 GROUP BY 1", customer.number
    )
    assert [row["count"] for row in mails] == [1, 1, 1], schedule
    return waited


async def test_two_alerters_in_any_order_fire_once_at_exactly_the_percent(sides: Sides, db: TableRows) -> None:
    waited = [await alert_twice(sides, db, schedule, known=known) for schedule in ALL for known in (False, True)]
    assert sum(waited) > len(ALL)


async def test_without_the_organizations_lock_some_order_fails(sides: Sides, db: TableRows) -> None:
    without = {"lock_state": ALERTER_SQL["lock_state"].replace("FOR UPDATE", "")}
    with pytest.raises(asyncpg.UniqueViolationError, match="alert_firings"):
        [await alert_twice(sides, db, schedule, known=True, instead=without) for schedule in ALL]


async def read_while_counting(sides: Sides, schedule: Sequence[int], *, isolated: bool) -> set[int]:
    """The sums that a dashboard's request reads from each table, while four credits are counted after one."""
    topic, name = await prepare(sides)
    events = records([usage(envelope={"subject": name}) for _ in range(5)])
    await aggregate(await sides.side(0, "aggregator", {}, ()), topic, events[:1])
    writer = await sides.side(0, "aggregator", SQL, WRITES)
    reader = await sides.side(1, "api", API_SQL, READS, isolated=isolated)

    async def read() -> set[int]:
        async with read_as(reader, name, "") as session:
            rollups = await sum_rollups(session, date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC))
            ledger = await sum_ledger(session)
            level = await select_live_version(session)
            return {int(credits) for credits in (*rollups, ledger or 0, level.credits)}

    _, (_, seen) = await run(schedule, [(writer, aggregate(writer, topic, events[1:])), (reader, read())])
    sums: set[int] = seen
    return sums


async def test_a_reader_sees_all_of_a_batch_or_nothing_of_it(sides: Sides) -> None:
    seen = [await read_while_counting(sides, schedule, isolated=True) for schedule in ALL]
    assert all(each in ({1_000_000}, {5_000_000}) for each in seen), seen
    assert {1_000_000} in seen
    assert {5_000_000} in seen


async def test_a_reader_without_a_snapshot_would_see_totals_that_disagree(sides: Sides) -> None:
    assert any([len(await read_while_counting(sides, schedule, isolated=False)) > 1 for schedule in ALL[::5]])
