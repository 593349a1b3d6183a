"""Rollups are damaged by hand and corrected from the log while the aggregator continues."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator.rebuild.compare import difference
from aggregator.rebuild.swap import SLACK, CannotRebuild, Comparison, compare, note_failures, only_rebuild, swap
from aggregator.rebuild.time_zone import change_time_zone
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from click.testing import Result
from flexcredits_cli.cli import app
from flexcredits_cli.terminal.problem import SetupProblem
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from flexcredits_schemas.zones import TZ_VERSION
from hypothesis import given
from hypothesis import strategies as st
from runtime.kafka.clients import KafkaSettings, open_producer
from support.data.factories import as_written, correction, organization, rate, rfc3339, usage
from support.data.random_log import random_log
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.invariants.rollups import TABLES, check_rollups, kept
from typer.testing import CliRunner

TODAY = datetime.now(UTC).date()
SINCE = TODAY - timedelta(days=60)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


async def test_a_failing_organization_is_left_out_and_all_others_are_corrected(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    names = ("org_a", "org_b", "org_c")
    await learn(producer, topics, *(organization(name) for name in names), rate(subject="org_a"))
    for name in names:
        for partition in range(2):
            tokens: dict[str, Any] = (
                {"feature_kind": "model", "quantity": "1000", "unit": "tokens"} if name == "org_a" else {}
            )
            value = json.dumps(usage(**tokens, envelope={"subject": name})).encode()
            await producer.send_and_wait(topics.usage_events, value, partition=partition)
    with running("aggregator", aggregator_environment(database, topics)):
        await until_applied(owner, topics, 6)
    await owner.execute("UPDATE usage_daily SET credits = credits + 5")
    number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_a'")
    await owner.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.organization_id = {number} THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$"
    )
    await owner.execute(
        "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON usage_daily FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    wrong = "SELECT array_agg(organization_id - $1 ORDER BY 1) FROM usage_daily WHERE credits = 2000005"
    kafka = KafkaSettings(kafka_bootstrap=topics.bootstrap)
    role = database.roles["flexcredits_rebuild"]

    async def rebuild() -> Comparison:
        async with only_rebuild(role) as holder:
            found = await compare(kafka, role, holder, topics.usage_events, SINCE, TODAY, None, lambda _: None)
            await swap(holder, found)
            await note_failures(holder, found)
            return found

    assert (await rebuild()).recount.failed == {"org_a": "RaiseError P0001: a defect"}
    assert await owner.fetchval(wrong, number) == [0]
    assert [*await owner.fetchrow("SELECT organization_id, component FROM quarantine")] == [number, "rebuild"]
    await owner.execute("DROP TRIGGER fail ON usage_daily")
    # A rate with a divisor of 0: left out of the comparison, and named.
    per = await owner.fetchval("SELECT per FROM rates")
    await owner.execute("UPDATE rates SET per = 0")
    found = await rebuild()
    assert found.recount.contradictions == 0
    assert list(found.recount.failed) == ["org_a"]
    assert found.recount.counted.total() == 4
    assert not found.differs
    await owner.execute("UPDATE rates SET per = $1", per)
    found = await rebuild()
    assert (found.recount.failed, found.recount.counted.total()) == ({}, 6)
    assert await owner.fetchval(wrong, number) is None
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.fixture
async def aggregator(database: Database, topics: Topics) -> AsyncIterator[None]:
    environment = aggregator_environment(database, topics, ATTRIBUTIONS_PER_MONTH="4")  # below those of the logs
    with running("aggregator", environment) as process:
        await eventually(process.ready, what="aggregator ready")
        yield


async def send_log(producer: AIOKafkaProducer, topics: Topics, seed: int, *, pause_s: float = 0) -> int:
    """Send about 400 random records; returns how many."""
    log = random_log(random.Random(seed))
    for partition, records in log.items():
        for record in records:
            await producer.send(topics.usage_events, record.value, key=record.key, partition=partition)
            await asyncio.sleep(pause_s)
    await producer.flush()
    return sum(map(len, log.values()))


async def learn(producer: AIOKafkaProducer, topics: Topics, *events: dict[str, Any]) -> None:
    for event in events:
        await producer.send_and_wait(topics.catalog, json.dumps(event).encode(), partition=0)


async def applied(owner: asyncpg.Connection, topics: Topics) -> int:
    return int(
        await owner.fetchval(
            "SELECT coalesce(sum(next_offset), 0) FROM partition_progress WHERE topic = $1", topics.usage_events
        )
    )


async def until_applied(owner: asyncpg.Connection, topics: Topics, number: int) -> None:
    """Wait until the records are counted, and corrections that were held for their originals too."""

    async def done() -> bool:
        waiting = await owner.fetchval(
            "SELECT count(*) FROM usage_held h JOIN usage_ledger l ON (l.ledger_bucket, l.identity) = (h.corrects_bucket, h.corrects)"
            " WHERE h.waits_for = 'original' AND NOT l.held"
        )
        return await applied(owner, topics) == number and not waiting

    await eventually(done, what=f"{number} records applied")


async def damage(owner: asyncpg.Connection, chance: random.Random) -> None:
    """Change, delete and invent rows in every table, as only a superuser can."""
    for table, (key, _, _) in TABLES.items():
        number = "corrections" if table == "usage_corrections" else "events"
        rows = await owner.fetch(f"SELECT ctid, tableoid FROM {table}")
        for row in chance.sample(rows, min(len(rows), 6)):
            change = chance.choice(
                [
                    f"UPDATE {table} SET credits = credits + {chance.randrange(-(10**7), 10**7)}",
                    f"UPDATE {table} SET {number} = {number} + {chance.randrange(1, 9)}",
                    f"DELETE FROM {table}",
                ]
            )
            await owner.execute(f"{change} WHERE ctid = $1 AND tableoid = $2", row["ctid"], row["tableoid"])
        made_up = {
            "series_id": "(SELECT min(series_id) FROM usage_series s WHERE s.organization_id = o.organization_id)"
        }
        made_up |= {
            "product": "'api'",
            "month": "date_trunc('month', now())::date",
            "bucket_at": "date_trunc('hour', now())",
        }
        made_up |= {"day": "current_date - 3", "received_on": "current_date", "organization_id": "o.organization_id"}
        names = key.split(", ") + (["kafka_partition"] if "product" in key and table != "usage_late" else [])
        values = ", ".join(made_up.get(name, "3") for name in names)
        await owner.execute(
            f"INSERT INTO {table} ({', '.join(names)}, credits, {number}) SELECT {values}, 77, 7 FROM organizations o"
            " WHERE organization IN ('org_a') ON CONFLICT DO NOTHING"
        )

    await damage_runs(owner, chance)


RUN_DAMAGE = [
    "UPDATE usage_runs SET credits = credits - 1",
    "UPDATE usage_runs SET events = events + 1",
    "UPDATE usage_runs SET first_at = first_at + interval '1 minute'",
    "UPDATE usage_runs SET last_at = last_at + interval '1 minute'",
    "UPDATE usage_runs SET agent_id = 'agt_other', attribution_id = attribution_id + 1",
    "UPDATE usage_runs SET run_id = 'another'",
    "UPDATE usage_runs SET parent_id = ''",
    "DELETE FROM usage_runs",
]


async def damage_runs(owner: asyncpg.Connection, chance: random.Random) -> None:
    rows = await owner.fetch("SELECT ctid FROM usage_runs ORDER BY organization_id, run_id")
    for statement, row in zip(RUN_DAMAGE, chance.sample(rows, len(RUN_DAMAGE)), strict=True):
        await owner.execute(f"{statement} WHERE ctid = $1", row["ctid"])
    await owner.execute(
        "INSERT INTO usage_runs SELECT organization_id, gen_random_uuid(), 'invented', '', 5, 1, now(), now(), '', 0"
        " FROM organizations WHERE organization = 'org_a'"
    )


async def recount(database: Database, topics: Topics, holder: Any, **scope: Any) -> Comparison:
    """Connection of the role that may only rebuild."""
    chosen = {"first": SINCE, "last": TODAY + timedelta(days=1), "organization": None} | scope
    return await compare(
        KafkaSettings(kafka_bootstrap=topics.bootstrap), database.roles["flexcredits_rebuild"], holder,
        topics.usage_events, chosen["first"], chosen["last"], chosen["organization"], lambda _: None,
    )  # fmt: skip


async def test_damaged_rollups_are_made_right_while_counting_goes_on(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    """Three random histories, each damaged. Between comparison and correction, usage is counted, held usage released, and another batch sent."""
    chance = random.Random(5)
    await learn(producer, topics, organization("org_a"))
    sent = 0
    events = [[organization("org_b", "Asia/Kathmandu")], [rate()], []]
    for number in range(3):
        sent += await send_log(producer, topics, seed=100 + number)
        await until_applied(owner, topics, sent)
        await damage(owner, chance)
        async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
            found = await recount(database, topics, holder)
            assert found.recount.contradictions == 0, found.recount.shown
            assert found.differs
            assert all(line.differing for line in found.tables)
            assert found.recount.held > 0 or number == 2
            counting = asyncio.create_task(send_log(producer, topics, seed=200 + number, pause_s=0.001))
            await learn(producer, topics, *events[number])

            async def counted_on(before: int = sent) -> bool:
                return await applied(owner, topics) > before + 50

            await eventually(counted_on, what="counting goes on")
            await swap(holder, found, runs_at_once=2)
            sent += await counting
        await until_applied(owner, topics, sent)
        async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
            again = await recount(database, topics, holder)
            assert not again.differs, again.tables
        await check_rollups(owner)
    assert await owner.fetchval("SELECT count(*) FROM usage_held WHERE waits_for <> 'original'") == 0
    changed = {
        row[0]
        for row in await owner.fetch("SELECT organization FROM rebuilds JOIN organizations USING (organization_id)")
    }
    assert changed == {"org_a", "org_b"}


async def test_a_run_is_recounted_as_a_whole_and_refused_if_its_id_is_lost(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    """The range has the last use of one run, and only a correction of the other. Their first uses are days before it."""
    await learn(producer, topics, organization())
    now = datetime.now(UTC) - timedelta(minutes=2)
    before = now - timedelta(days=5)
    for run_id, uses in {"long": ((before, "usr_1"), (now, "usr_2")), "lost": ((before, "usr_1"),)}.items():
        for at, actor in uses:
            run = {"id": run_id, "parent_id": "run-9" if at == before else "run-1"}
            made = usage(actor={"id": actor}, run=run, product="agents", envelope={"time": rfc3339(at)})
            await producer.send_and_wait(topics.usage_events, json.dumps(made).encode(), partition=0)
    late = correction(made, "-0.5", time=rfc3339(now))
    await producer.send_and_wait(topics.usage_events, json.dumps(late).encode(), partition=0)
    await until_applied(owner, topics, 4)
    await check_rollups(owner)
    right = await owner.fetch("SELECT * FROM usage_runs ORDER BY run_id")
    assert [(row["run_id"], row["parent_id"], row["credits"], row["events"]) for row in right] == [
        ("long", "run-9", 2_000_000, 2), ("lost", "run-9", 500_000, 1),
    ]  # fmt: skip

    async def compare_since(first: date) -> Comparison:
        async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
            found = await recount(database, topics, holder, first=first)
            if not found.recount.contradictions:
                await swap(holder, found, runs_at_once=2)
            return found

    for damage, number in (
        ("first_at = now(), attribution_id = 0, agent_id = ''", 2), ("credits = 0, events = 0", 2),
        ("run_id = CASE run_id WHEN 'long' THEN '' ELSE run_id END", 1),
    ):  # fmt: skip
        await owner.execute(f"UPDATE usage_runs SET {damage}")
        found = await compare_since(TODAY - timedelta(days=1))
        assert [(line.table, line.differing) for line in found.tables if line.differing] == [("usage_runs", number)]
        assert await owner.fetch("SELECT * FROM usage_runs ORDER BY run_id") == right
    # Only the records of its uses have the id of a run that lost its row: the range must have one of them.
    await owner.execute("DELETE FROM usage_runs")
    [refused] = (await compare_since(TODAY - timedelta(days=1))).recount.shown
    assert re.fullmatch(
        rf"run .* lost its row, and no record of these days has its id: begin on {before.date()}", refused
    )
    assert await owner.fetch("SELECT * FROM usage_runs") == []
    assert (await compare_since(before.date())).recount.contradictions == 0
    assert await owner.fetch("SELECT * FROM usage_runs ORDER BY run_id") == right


async def test_only_the_range_and_the_organization_asked_for_are_touched(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    await learn(producer, topics, organization("org_a"), organization("org_b", "Asia/Kathmandu"), rate())
    await until_applied(owner, topics, await send_log(producer, topics, seed=9))
    await check_rollups(owner)
    right = await kept(owner, "usage_daily")
    await owner.execute("UPDATE usage_daily SET credits = credits + 1")
    [number] = await owner.fetchrow("SELECT organization_id FROM organizations WHERE organization = 'org_b'")
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        first = TODAY - timedelta(days=20)
        await swap(holder, await recount(database, topics, holder, organization="org_b", first=first, last=TODAY))
    now = await kept(owner, "usage_daily")
    for key, cell in right.items():
        inside = key[0] == number and first <= key[1] <= TODAY
        assert now[key] == (cell if inside else (cell[0] + 1, cell[1])), key


async def test_a_copy_whose_header_says_that_the_first_wins_is_no_contradiction(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    await learn(producer, topics, organization("org_a"))
    first = usage(envelope={"subject": "org_a"})
    other = {**first, "data": {**first["data"], "credits": "7"}}
    for event, headers in ((first, []), (other, [FIRST_WINS_HEADER])):
        await producer.send_and_wait(topics.usage_events, as_written(event), headers=headers, partition=0)
    await until_applied(owner, topics, 2)
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        found = await recount(database, topics, holder)
    assert (found.recount.contradictions, found.recount.duplicate) == (0, 1), found.recount.shown
    assert not found.differs


async def test_a_correction_outlives_its_original_and_its_run(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    """Retention counts from receipt: a correction may be received a year after the usage."""
    await learn(producer, topics, organization())
    then = rfc3339(datetime.now(UTC) - timedelta(days=100))
    original = usage(credits="2", actor={"id": "ada"}, run={"id": "conversation"}, envelope={"time": then})
    for sent in (original, correction(original, "-0.5")):
        await producer.send_and_wait(topics.usage_events, json.dumps(sent).encode(), partition=1)
    await until_applied(owner, topics, 2)
    await owner.execute("DELETE FROM usage_ledger WHERE corrects IS NULL")
    await owner.execute("DELETE FROM usage_runs")
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        found = await recount(database, topics, holder, first=TODAY - timedelta(days=1), last=TODAY + timedelta(days=1))
    assert (found.differs, found.recount.contradictions) == (False, 0), found.recount.shown


async def test_an_organization_moves_to_another_zone_while_it_uses(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    await learn(producer, topics, organization("org_a"), organization("org_b", "Asia/Kathmandu"), rate())
    sent = await send_log(producer, topics, seed=11)
    await until_applied(owner, topics, sent)
    total = await owner.fetchval("SELECT sum(credits) FROM usage_organization_monthly")
    counting = asyncio.create_task(send_log(producer, topics, seed=12, pause_s=0.002))
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        dry = await change_time_zone(holder, "org_b", "America/St_Johns", dry_run=True)
        assert dry.rows_moved > 0
        assert (
            await owner.fetchval("SELECT time_zone FROM organizations WHERE organization = 'org_b'") == "Asia/Kathmandu"
        )
        for zone in ("America/St_Johns", "Pacific/Kiritimati", "America/Los_Angeles"):
            await change_time_zone(holder, "org_b", zone)
        with pytest.raises(CannotRebuild, match="is not accepted"):
            await change_time_zone(holder, "org_b", "Mars/Olympus")
        with pytest.raises(CannotRebuild, match="no organization 'org_x'"):
            await change_time_zone(holder, "org_x", "UTC")
    sent += await counting
    sent += await send_log(producer, topics, seed=13)
    await until_applied(owner, topics, sent)
    await check_rollups(owner)
    assert await owner.fetchval("SELECT sum(credits) FROM usage_organization_monthly") > total
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        found = await recount(database, topics, holder)
        assert not found.differs, found.tables
        assert found.recount.contradictions == 0, found.recount.shown


async def test_command_proves_compares_and_refuses(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("POSTGRES_DSN", database.roles["flexcredits_rebuild"])
    monkeypatch.setenv("KAFKA_BOOTSTRAP", topics.bootstrap)
    monkeypatch.setenv("USAGE_EVENTS_TOPIC", topics.usage_events)

    async def call(*options: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", *options])

    await learn(producer, topics, organization())
    for _ in range(8):
        await producer.send_and_wait(topics.usage_events, json.dumps(usage(credits="2")).encode(), partition=1)
    await until_applied(owner, topics, 8)
    proof = await call("--from", f"{SINCE}", "--dry-run", "--json")
    assert proof.exit_code == 0, proof.output
    document = json.loads(proof.stdout)
    assert (document["differs"], document["in_range"]["counted"], document["positions"]["1"]) == (False, 8, 8)

    await owner.execute("UPDATE usage_daily SET credits = credits + 5")
    found = await call("--from", f"{SINCE}", "--dry-run", "--json")
    assert found.exit_code == 3
    assert json.loads(found.stdout)["examples"][0]["micro_credits"] == -5
    done = await call("--from", f"{SINCE}", "--organization", "org_acme")
    assert done.exit_code == 0, done.output
    assert "The rebuilt rows are in place." in done.output
    await check_rollups(owner)

    for options, reason in (
        ((), "name the first day"),
        (("--from", "yesterday"), "is not a day"),
        (("--from", f"{TODAY}", "--to", f"{SINCE}"), "is before --from"),
        (("--from", f"{SINCE}", "--organization", "org_x"), "no organization 'org_x'"),
        (("--from", f"{TODAY - timedelta(days=500)}"), "outside the window"),
        (("--from", f"{SINCE}", "--time-zone", "org_acme", "UTC"), "use it without a range"),
    ):
        refused = await call(*options)
        assert isinstance(refused.exception, SetupProblem)
        assert reason in str(refused.exception)

    # The ledger itself was changed: the rollups cannot agree with log and ledger, and stay unchanged.
    await owner.execute("UPDATE usage_ledger SET credits = credits + 1 WHERE kafka_offset = 3")
    refused = await call("--from", f"{SINCE}")
    assert isinstance(refused.exception, SetupProblem)
    assert f"{topics.usage_events}/1/3: its credits is 2000000, the ledger says 2000001" in refused.stdout
    await owner.execute("UPDATE usage_series SET feature = 'other'")
    assert "its series is -1, the ledger says" in (await call("--from", f"{SINCE}")).stdout
    await owner.execute("DELETE FROM usage_ledger WHERE kafka_offset = 3")
    assert "neither the ledger nor a dead letter knows of it" in (await call("--from", f"{SINCE}")).stdout

    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topics.usage_events, 1): RecordsToDelete(before_offset=5)})
    await admin.close()
    refused = await call("--from", f"{SINCE}")
    # A day can be rebuilt if the oldest kept record is older than its start by SLACK.
    kept_since = re.search(
        r"was received since (.{16}) UTC: days from (.{10}) on can be rebuilt", str(refused.exception)
    )
    assert kept_since is not None, refused.exception
    received, day = datetime.fromisoformat(kept_since[1]), datetime.fromisoformat(kept_since[2])
    assert received + SLACK < day <= received + SLACK + timedelta(days=1, minutes=1)


async def test_the_rebuilders_role_cannot_change_the_proof_and_works_alone(
    database: Database, owner: asyncpg.Connection
) -> None:
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        for statement in (
            "UPDATE usage_ledger SET credits = 0", "DELETE FROM usage_ledger", "UPDATE partition_progress SET counted = 0",
            "DELETE FROM dead_letter_outbox", "UPDATE organizations SET name = ''", "DELETE FROM rebuilds",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await holder.execute(statement)
        with pytest.raises(CannotRebuild, match="another rebuild is running"):
            async with only_rebuild(database.roles["flexcredits_rebuild"]):
                pass
        # It reads the ledger, so no partition is dropped meanwhile.
        await owner.execute("SELECT ensure_ledger_partition((current_date - 500) - date '1970-01-01')")
        assert await owner.fetch("SELECT drop_expired_partitions(current_date)") == []
    assert len(await owner.fetch("SELECT drop_expired_partitions(current_date)")) == 1


cells = st.dictionaries(
    st.integers(0, 5).map(lambda number: (number,)), st.lists(st.integers(-9, 9), min_size=2, max_size=2)
)


@given(cells, cells, cells)
def test_difference_added_after_more_was_counted_is_what_a_rebuild_would_have_counted(
    rebuilt: dict[tuple[int], list[int]], live: dict[tuple[int], list[int]], later: dict[tuple[int], list[int]]
) -> None:
    def add(*parts: dict[tuple[int], list[int]]) -> dict[tuple[int], tuple[int, int]]:
        keys = {key for part in parts for key in part}
        sums = {key: tuple(sum(part.get(key, [0, 0])[place] for part in parts) for place in (0, 1)) for key in keys}
        return {key: (cell[0], cell[1]) for key, cell in sums.items() if cell != (0, 0)}

    assert add(live, later, difference(rebuilt, live)) == add(rebuilt, later)


async def test_days_counted_by_older_rules_of_a_zone_are_moved(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As if Asia/Kathmandu had had Tokyo's time until a new tz release, which an aggregator already uses."""
    await learn(producer, topics, organization("org_a"), organization("org_b", "Asia/Tokyo"), rate())
    sent = await send_log(producer, topics, seed=21)
    await until_applied(owner, topics, sent)
    number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_b'")
    await owner.execute(
        "UPDATE zone_rules SET time_zone = 'Asia/Kathmandu', tz = '2025b' WHERE organization_id = $1", number
    )
    await owner.execute("UPDATE organizations SET time_zone = 'Asia/Kathmandu' WHERE organization_id = $1", number)
    await owner.execute("INSERT INTO rebuilds (organization_id, time_zone) VALUES ($1, 'Asia/Kathmandu')", number)
    sent += await send_log(producer, topics, seed=22)
    await until_applied(owner, topics, sent)
    total = await owner.fetchval("SELECT sum(credits) FROM usage_organization_monthly")
    with pytest.raises(AssertionError):
        await check_rollups(owner)
    monkeypatch.setenv("POSTGRES_DSN", database.roles["flexcredits_rebuild"])

    async def apply(*options: str) -> dict[str, Any]:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["rebuild", "--time-zone-rules", "--json", *options])
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    [dry] = (await apply("--dry-run"))["organizations"]
    assert (dry["organization"], dry["tz"], dry["since"][:10], dry["changed"]) == (
        "org_b", "2025b", "2024-01-01", False,
    )  # fmt: skip
    [moved] = (await apply())["organizations"]
    assert moved["rows_moved"] == dry["rows_moved"] > 0
    await check_rollups(owner)
    assert await owner.fetchval("SELECT sum(credits) FROM usage_organization_monthly") == total
    assert await apply() == {"tz": TZ_VERSION, "organizations": []}
    # For days before rules were recorded, the rules are unknown: they are recounted once.
    await owner.execute("UPDATE zone_rules SET tz = NULL, changes = NULL")
    await owner.execute("DELETE FROM zone_rules WHERE organization_id = $1", number)
    unknown = (await apply())["organizations"]
    assert [(one["organization"], one["tz"], one["rows_moved"]) for one in unknown] == [
        ("org_a", None, 0), ("org_b", None, 0),
    ]  # fmt: skip
    assert (await apply())["organizations"] == []
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        assert not (await recount(database, topics, holder)).differs
        # Days counted by other rules than the stored zone has now, or by an unknown zone, can also move to a third zone.
        for zone, becomes in (("Pacific/Kiritimati", "America/St_Johns"), ("Nowhere", "Asia/Tokyo")):
            await owner.execute("UPDATE organizations SET time_zone = $2 WHERE organization_id = $1", number, zone)
            await owner.execute("UPDATE zone_rules SET time_zone = $2 WHERE organization_id = $1", number, zone)
            await change_time_zone(holder, "org_b", becomes)
            await check_rollups(owner)
    assert await owner.fetchval("SELECT sum(credits) FROM usage_organization_monthly") == total
