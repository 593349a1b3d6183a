"""Any id counts once, whatever its format, also if its day is far from its receipt."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator import metrics
from aggregator.__main__ import keep_partitions
from aggregator.db.batch.ledger_partitions import place
from aggregator.db.catalog_cache import StaleCatalog
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import empty_batch, read
from aggregator.measures import measure_tables
from flexcredits_schemas.identity import HASH_BUCKETS, bucket_of, hash_bucket, identity_of
from hypothesis import given
from hypothesis import strategies as st
from support.data.factories import FakeRecord, correction, organization, rate, records, rfc3339, usage, uuid7
from support.faults.failing_rows import failing
from support.infra.stack import Database
from support.services.aggregator import TOPIC, Aggregator

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
EPOCH_DAY = (NOW - datetime(1970, 1, 1, tzinfo=UTC)).days
FUTURE, OLD = uuid7(NOW + 30 * DAY), uuid7(NOW - 800 * DAY)
IDS = [
    "20261129104500000000000001",  # 26 digits, like a ULID
    "065e5a96-172c-771e-8000-bbac546447e1",  # the package uuid7: an older draft, seconds first
    "ABCDEF0123456789ABCDEF0123",  # 26 hex capitals
    "01HQ2Z6YV0X2Q4J6R8T0V2X4Z6",  # a conversation's ULID of 2024
    FUTURE, OLD, uuid7(NOW - 431 * DAY), uuid7(NOW - 467 * DAY), uuid7(NOW + 3 * DAY), uuid7(NOW + 60_000 * DAY), "conversation-17", "x" * 128,
]  # fmt: skip


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool)
        await here.learn(organization(), rate())
        yield here


def received(sent: dict[str, Any], offset: int, at: datetime, partition: int = 0) -> list[FakeRecord]:
    [record] = records([sent], first=offset, partition=partition)
    record.timestamp = int(at.timestamp() * 1000)
    return [record]


@pytest.mark.parametrize("event_id", IDS, ids=range(len(IDS)))
async def test_a_copy_meets_its_first_days_later_and_with_another_time(aggregator: Aggregator, event_id: str) -> None:
    first = usage(envelope={"id": event_id, "time": rfc3339(NOW)})
    await aggregator.count(received(first, 0, NOW))
    for offset, days in enumerate((0, 4, 27), start=1):
        assert len((await aggregator.count(received(first, offset, NOW + days * DAY))).duplicates) == 1
    other = first | {"time": rfc3339(NOW + DAY)}
    assert len((await aggregator.count(received(other, 4, NOW + 2 * DAY, partition=0))).rejections) == 1
    assert await aggregator.total() == 1_000_000


@given(st.text(min_size=1, max_size=128) | st.sampled_from(IDS) | st.from_regex(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", fullmatch=True) | st.from_regex(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", fullmatch=True), st.text(max_size=5), st.text(max_size=5))  # fmt: skip
def test_the_partition_follows_from_the_id_alone(event_id: str, source: str, organization: str) -> None:
    identity = identity_of(organization, source, event_id)
    bucket = bucket_of(event_id, identity)
    assert -HASH_BUCKETS <= hash_bucket(identity) <= -1
    assert bucket == hash_bucket(identity) or datetime(2020, 1, 1, tzinfo=UTC) <= datetime.fromtimestamp(bucket * 86_400, UTC) < datetime(2100, 1, 1, tzinfo=UTC)  # fmt: skip
    assert (bucket == bucket_of(event_id, b"another identity")) == (bucket >= 0 or hash_bucket(b"a") == bucket)


async def test_rows_move_when_the_day_inside_their_id_gets_its_partition(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    def sent(number: int, **data: Any) -> dict[str, Any]:
        return usage(envelope={"id": uuid7(NOW + 30 * DAY), "time": rfc3339(NOW)}, **data)

    counted, held, late = sent(1), sent(2, feature="unrated", quantity="5", unit="pages"), sent(3)
    corrections = [correction(counted, "-0.25", id=uuid7(NOW + 30 * DAY)), correction(late, "-0.5")]
    await aggregator.count(records([counted, held, *corrections]))
    assert await owner.fetchval("SELECT count(*) FROM ledger_strays") == 4
    assert await owner.fetchval("SELECT bool_and(ledger_bucket < 0) FROM usage_ledger WHERE corrects IS NULL")

    await owner.execute("SELECT ensure_partitions(current_date + 25)")
    assert await owner.fetchval("SELECT count(*) FROM ledger_strays") == 0
    day = EPOCH_DAY + 30
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger WHERE ledger_bucket = $1", day) == 3
    assert (
        await owner.fetchval("SELECT count(*) FROM usage_held WHERE $1 IN (ledger_bucket, corrects_bucket)", day) == 2
    )

    outcome = await aggregator.count(records([counted, held, *corrections, late], first=4))
    assert (len(outcome.duplicates), len(outcome.counted)) == (4, 1)
    await aggregator.learn(rate(feature_kind="tool", feature="unrated", unit="pages", credits="1", per="1"))
    assert await aggregator.release() == 2
    assert await aggregator.total() == 1_000_000 - 250_000 + 5_000_000 + 1_000_000 - 500_000
    await aggregator.check_grains()


async def test_copies_at_once_count_once_while_partitions_are_made(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Two aggregators count copies from two partitions, one received long before its id's day, one close to it."""
    second = Aggregator(aggregator.pool)
    async with second.pool.acquire() as connection:
        await second.catalog.refresh(connection, aggregator.catalog.version)
    rounds = 25

    async def count(here: Aggregator, batch: list[FakeRecord]) -> BatchResult:
        while True:
            try:
                return await here.count(batch)
            except (asyncpg.DeadlockDetectedError, StaleCatalog):
                continue

    for number in range(rounds):
        event_id = uuid7(NOW + (20 + number) * DAY)
        sent = usage(envelope={"id": event_id, "time": rfc3339(NOW + 19 * DAY)})
        await asyncio.gather(
            count(aggregator, received(sent, number, NOW + 19 * DAY)),
            count(second, received(sent, number, NOW + (20 + number) * DAY, partition=1)),
            owner.execute("SELECT ensure_ledger_partition($1)", EPOCH_DAY + 20 + number),
        )
    assert await aggregator.total() == rounds * 1_000_000
    assert sum(row["duplicate"] for row in await aggregator.progress()) == rounds


async def test_a_day_is_kept_while_something_of_it_came_lately(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    first = usage(envelope={"id": uuid7(NOW - 460 * DAY), "time": rfc3339(NOW)})
    await aggregator.count(received(first, 0, NOW))
    assert await owner.fetch("SELECT drop_expired_partitions(current_date + 7)") != []
    assert await owner.fetchval("SELECT waits FROM expired_partitions(current_date + 7)")
    assert len((await aggregator.count(received(first, 1, NOW + 7 * DAY))).duplicates) == 1
    assert len(await owner.fetch("SELECT drop_expired_partitions(current_date + 468) AS name")) > 0
    assert await owner.fetchval("SELECT sum(events) FROM ledger_seals") == 1


async def test_expired_rows_without_a_day_are_deleted_in_portions(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([usage(envelope={"id": f"e{number}"}) for number in range(25)]))
    await owner.execute(
        "UPDATE usage_ledger SET received_at = received_at - interval '500 days' WHERE kafka_offset < 20"
    )
    today = datetime.now(UTC).date()
    portions = [await aggregator.pool.fetchval(SQL["delete_expired_rows"], today, 9) for _ in range(4)]
    assert portions == [9, 9, 2, 0]
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger") == 5
    sums = await owner.fetchrow("SELECT sum(events)::bigint, sum(credits)::bigint FROM ledger_seals")
    assert sums is not None
    assert tuple(sums) == (20, 20_000_000)


async def test_partitions_are_created_while_expired_rows_take_too_long_to_delete(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([usage(envelope={"id": f"e{number}"}) for number in range(25)]))
    await owner.execute("UPDATE usage_ledger SET received_at = received_at - interval '500 days'")
    last = f"usage_ledger_{datetime.now(UTC) + 7 * DAY:%Y%m%d}"
    await owner.execute(f"DROP TABLE {last}")
    async with failing(owner, "ledger_seals", "org_acme", code="57014"):
        await keep_partitions(aggregator.pool)
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger") == 25
    assert await owner.fetchval("SELECT to_regclass($1) IS NOT NULL", last)
    await keep_partitions(aggregator.pool)
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger") == 0


async def test_strays_are_forgotten_with_their_rows(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await aggregator.count(records([usage(envelope={"id": OLD})]))
    await owner.execute("SELECT drop_expired_partitions(current_date + 400)")
    assert await owner.fetchval("SELECT count(*) FROM ledger_strays") == 1
    await owner.execute("SELECT drop_expired_partitions(current_date + 468)")
    assert await owner.fetchval("SELECT count(*) FROM ledger_strays") == 0
    assert await owner.fetchval("SELECT count(*) FROM usage_ledger") == 0


async def test_a_stray_is_known_as_long_as_its_row_lives(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A correction named its id more than a year before the event arrived."""
    first = usage(envelope={"id": uuid7(NOW + 480 * DAY), "time": rfc3339(NOW)})
    await aggregator.count(received(correction(first, "-0.5", time=rfc3339(NOW)), 0, NOW))
    await aggregator.count(received(first, 1, NOW + 380 * DAY))
    assert await aggregator.release() == 1
    await owner.execute("SELECT drop_expired_partitions(current_date + 470)")
    await owner.execute("SELECT ensure_ledger_partition($1)", EPOCH_DAY + 480)
    assert len((await aggregator.count(received(first, 2, NOW + 390 * DAY))).duplicates) == 1


async def test_a_day_of_too_many_strays_goes_on_without_a_partition(
    aggregator: Aggregator, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A client whose clock is ten days ahead sends millions of ids of one day: moving their rows would delay all organizations."""
    first = usage(envelope={"id": uuid7(NOW + 10 * DAY), "time": rfc3339(NOW)})
    await aggregator.count(received(first, 0, NOW))
    await owner.execute(
        "INSERT INTO ledger_strays SELECT $1, -1 - n % 16, gen_random_uuid(), now() FROM generate_series(1, 100000) AS n",
        EPOCH_DAY + 10,
    )
    await measure_tables(aggregator.pool, TOPIC)
    assert metrics.CROWDED_DAYS._value.get() == 1
    await owner.execute("SELECT ensure_partitions(current_date + 4)")
    days = (
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_ledger'::regclass AND inhrelid::regclass::text = $1"
    )
    assert await owner.fetchval(days, f"usage_ledger_{NOW + 10 * DAY:%Y%m%d}") == 0
    assert await owner.fetchval(days, f"usage_ledger_{NOW + 11 * DAY:%Y%m%d}") == 1
    near = received(first, 1, NOW + 10 * DAY) + received(
        usage(envelope={"id": uuid7(NOW + 10 * DAY)}), 2, NOW + 10 * DAY
    )
    outcome = await aggregator.count(near)
    assert (len(outcome.duplicates), len(outcome.counted)) == (1, 1)


async def test_partitions_that_take_too_long_are_made_the_next_time(
    database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    role = database.roles["flexcredits_aggregator"]
    async with asyncpg.create_pool(
        role, min_size=1, max_size=1, server_settings={"statement_timeout": "100"}
    ) as pool, owner.transaction():  # fmt: skip
        await owner.execute("SELECT pg_advisory_xact_lock(hashtext('flexcredits.partitions'))")
        await keep_partitions(pool)


async def test_known_days_cost_no_query(aggregator: Aggregator) -> None:
    """Real UUIDv7 ids cost nothing: once their days are known, a batch sends no query about partitions."""
    await aggregator.count(records([usage()]))
    reading = empty_batch()
    read(records([usage()], first=1), reading)
    no_connection: Any = None
    assert await place(no_connection, reading, aggregator.catalog) is reading
