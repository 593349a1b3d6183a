"""Work that is kept in Postgres for many organizations: one with tens of thousands of items delays no other, and a claim
costs no more for it, also where the planner knows nothing about them yet."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import pytest
from alerter.db.channel_queries import LAST, claim_alert_events, claim_deliveries, mark_alert_events_published
from alerter.db.email_queries import claim_mails, count_pending_mails
from alerter.db.queries import claim_wakeups
from alerter.db.statements import SQL
from alerter.evaluation.requests import answer_requests
from alerter.queues.rotation import Rotation
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import NOW, Customer, add_channel, make_customer

FLOOD = 30_000
BLOCKS_MAX = 150
"""Limit of 8 KiB blocks that a claim of one item may read or write; the backlog has more."""

ANALYZE = "VACUUM ANALYZE email_outbox, alert_deliveries, alert_events, alert_wakeups, mail_requests"


class Queue(NamedTuple):
    """How to fill a queue and claim from it, and its claim statement."""

    put: str
    """SQL that inserts $2 items for organization $1."""
    claim: Callable[[Pool, Rotation], Awaitable[Sequence[int]]]
    """Organizations whose items were processed."""
    statement: str
    arguments: str
    """Arguments with which it claims one item."""


async def take_mails(pool: Pool, rotation: Rotation) -> Sequence[int]:
    mails = await rotation.take(lambda after: claim_mails(pool, 8, 60, [], 4, after))
    return [mail.organization_id for mail in mails]


async def take_deliveries(pool: Pool, rotation: Rotation) -> Sequence[int]:
    deliveries = await rotation.take(lambda after: claim_deliveries(pool, 32, 60, [], 16, after))
    return [delivery.organization_id for delivery in deliveries]


async def take_alert_events(pool: Pool, rotation: Rotation) -> Sequence[int]:
    async with pool.acquire() as connection, connection.transaction():
        events = await rotation.take(lambda after: claim_alert_events(connection, 500, after))
        await mark_alert_events_published(connection, [event.alert_event_id for event in events])
    return [event.organization_id for event in events]


async def take_wakeups(pool: Pool, _: Rotation) -> Sequence[int]:
    async with pool.acquire() as connection, connection.transaction():
        return [*await claim_wakeups(connection, 5000)]


async def take_requests(pool: Pool, rotation: Rotation) -> Sequence[int]:
    before = {row[0] for row in await pool.fetch("SELECT email_id FROM email_outbox")}
    await answer_requests(pool, "flex.example", lambda: NOW, rotation)
    rows = await pool.fetch("SELECT email_id, organization_id FROM email_outbox")
    return [organization_id for email_id, organization_id in rows if email_id not in before]


NOTICE = json.dumps({"subject": "org"})
QUEUES = {
    "mails": Queue(
        "INSERT INTO email_outbox (organization_id, message_id, recipient, created_at, mail_context)"
        " SELECT $1, gen_random_uuid(), 'ada@acme.example', now(), '{}' FROM generate_series(1, $2::integer) n",
        take_mails, "claim_emails", "1, 60, '{}', 4, 0",
    ),
    "deliveries": Queue(
        f"WITH notice AS (INSERT INTO alert_events (organization_id, event_id, kind, body, created_at, published_at)"
        f" SELECT $1, gen_random_uuid(), 'test', '{NOTICE}', now(), now() FROM generate_series(1, $2::integer) n RETURNING alert_event_id)"
        " INSERT INTO alert_deliveries (organization_id, channel_id, alert_event_id, created_at) SELECT $1, c.channel_id, alert_event_id, now()"
        " FROM notice JOIN alert_channels c ON c.organization_id = $1",
        take_deliveries, "claim_deliveries", "1, 60, '{}', 16, 0",
    ),
    "notices": Queue(
        f"INSERT INTO alert_events (organization_id, firing_id, event_id, kind, body, created_at)"
        f" SELECT $1, firing_id, gen_random_uuid(), 'fired', '{NOTICE}', now() FROM alert_firings, generate_series(1, $2::integer) n"
        " WHERE organization_id = $1",
        take_alert_events, "claim_notices", f"1, 0, {LAST}",
    ),
    "wake-ups": Queue(
        "INSERT INTO alert_wakeups (organization_id) SELECT $1 FROM generate_series(1, $2::integer)",
        take_wakeups, "claim_wakeups", "1",
    ),
    "requests": Queue(
        "INSERT INTO mail_requests (organization_id, kind, rule, recipient)"
        " SELECT $1, 'test', 'usage', 'ada@acme.example' FROM generate_series(1, $2::integer)",
        take_requests, "select_requesting", "0",
    ),
}  # fmt: skip


@pytest.fixture(params=QUEUES)
def queue(request: pytest.FixtureRequest) -> Queue:
    return QUEUES[request.param]


async def make_customers(db: TableRows, many: int) -> list[Customer]:
    """Organizations with a channel and a firing each, and empty queues."""
    customers = [await make_customer(db, f"org_{at}", members=False) for at in range(many)]
    for customer in customers:
        await add_channel(customer, "https://hooks.example/")
        await db.execute(
            "INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on,"
            " fired_at, used, available, notification) VALUES ($1, 'usage', 'c1', 'p1', 75, 1, now(), now(), now(), 1, 1, 'suppressed')",
            customer.number,
        )
    return customers


async def put(owner: Connection, queue: Queue, customer: Customer, many: int) -> None:
    await owner.execute(queue.put, customer.number, many)


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_an_organization_with_tens_of_thousands_of_items_delays_no_other(
    db: TableRows, pool: Pool, owner: Connection, queue: Queue, at: int
) -> None:
    customers = await make_customers(db, 3)
    many = customers.pop(at)
    await put(owner, queue, many, FLOOD)
    for other in customers:
        await put(owner, queue, other, 1)
    rotation, done = Rotation(), set[int]()
    for _ in range(2):
        done |= {*await queue.claim(pool, rotation)}
    assert done == {many.number, *(other.number for other in customers)}


async def test_thirty_with_hundreds_each_leave_another_its_turn(
    db: TableRows, pool: Pool, owner: Connection, queue: Queue
) -> None:
    """More organizations than a claim takes at a time, with older items."""
    *many, other = await make_customers(db, 41)
    for customer in many:
        await put(owner, queue, customer, 300)
    await put(owner, queue, other, 1)
    rotation = Rotation()
    claims = [{*await queue.claim(pool, rotation)} for _ in range(6)]
    assert other.number in set[int]().union(*claims)


@pytest.mark.parametrize("analyzed", ["never", "before", "after"])
async def test_a_claim_reads_little_of_a_flood_whatever_the_planner_knows(
    db: TableRows, pool: Pool, owner: Connection, queue: Queue, analyzed: str
) -> None:
    many, *others = await make_customers(db, 4)
    if analyzed == "before":
        await put(owner, queue, many, 3)
        await owner.execute(ANALYZE)
    async with pool.acquire() as planned_before, pool.acquire() as planned_after:
        await prepare(planned_before, queue)
        for _ in range(8):  # from the sixth on Postgres may keep a plan
            assert await count_blocks(planned_before, queue) < BLOCKS_MAX
        await put(owner, queue, many, FLOOD)
        for other in others:
            await put(owner, queue, other, 1)
        if analyzed == "after":
            await owner.execute(ANALYZE)
        await prepare(planned_after, queue)
        for connection in (planned_before, planned_after):
            assert await count_blocks(connection, queue) < BLOCKS_MAX


async def prepare(connection: Connection, queue: Queue) -> None:
    await connection.execute(f"PREPARE claim AS {SQL[queue.statement]}")


async def count_blocks(connection: Connection, queue: Queue) -> int:
    """Blocks that the statement reads and writes to claim one item."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim({queue.arguments})"
    [plan] = json.loads(await connection.fetchval(explain))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_the_measure_of_unsent_mails_reads_little_of_a_flood(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    [customer] = await make_customers(db, 1)
    assert await count_pending_mails(pool, 100) == (0, 0.0)
    await put(owner, QUEUES["mails"], customer, 1)
    await owner.execute("UPDATE email_outbox SET created_at = now() - interval '1 hour'")
    await put(owner, QUEUES["mails"], customer, FLOOD)
    pending, oldest_s = await count_pending_mails(pool, 100)
    assert (pending, round(oldest_s / 60)) == (100, 60)
    await owner.execute(ANALYZE)  # autovacuum does it within a minute of a flood; until then Postgres may sort them all
    await owner.execute(f"PREPARE measure AS {SQL['count_pending_emails']}")
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measure(100)"
    for _ in range(8):  # from the sixth on Postgres may keep a plan
        [plan] = json.loads(await owner.fetchval(explain))
        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < BLOCKS_MAX


async def test_an_organizations_alert_events_are_published_by_one_process_at_a_time(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """Two processes would each take a part, and a resolution could be published before its firing."""
    acme, other = await make_customers(db, 2)
    await put(owner, QUEUES["notices"], acme, 3)
    async with pool.acquire() as one, pool.acquire() as two:
        async with one.transaction():
            first = await claim_alert_events(one, 1, 0)
            await put(owner, QUEUES["notices"], other, 1)
            async with two.transaction():
                assert {event.organization_id for event in await claim_alert_events(two, 500, 0)} == {other.number}
        async with two.transaction():
            rest = [event for event in await claim_alert_events(two, 500, 0) if event.organization_id == acme.number]
    assert [event.alert_event_id for event in rest] == sorted(event.alert_event_id for event in rest)
    assert (len(first), len(rest), first[0].alert_event_id) == (1, 3, rest[0].alert_event_id)
