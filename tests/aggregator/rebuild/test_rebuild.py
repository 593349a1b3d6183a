"""Rollups are damaged by hand and corrected from the log while the aggregator continues."""

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aggregator.rebuild.compare import difference
from aggregator.rebuild.swap import Comparison, compare, note_failures, only_rebuild, swap
from aiokafka import AIOKafkaProducer
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from hypothesis import given
from hypothesis import strategies as st
from runtime.kafka.clients import KafkaSettings
from support.data.factories import as_written, organization, rate, usage
from support.faults.damaged_rollups import damage
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.invariants.rollups import check_rollups, kept
from support.services.rebuild import SINCE, TODAY, applied, learn, recount, send_log, until_applied


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


async def test_reasons_of_failures_stay_known_when_a_swap_ends_early(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    """The sums of one organization fail, and then Postgres itself while runs are replaced."""
    await learn(producer, topics, organization("org_a"), organization("org_b"))
    for name in ("org_a", "org_b"):
        value = json.dumps(usage(envelope={"subject": name}, run={"id": "r1"})).encode()
        await producer.send_and_wait(topics.usage_events, value, partition=0)
    await until_applied(owner, topics, 2)
    await owner.execute("UPDATE usage_daily SET credits = credits + 5")
    await owner.execute("UPDATE usage_runs SET credits = credits + 5")
    number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_a'")
    for table, condition, code in (
        ("usage_daily", f"NEW.organization_id = {number}", "P0001"),
        ("usage_runs", "true", "58030"),
    ):
        await owner.execute(
            f"CREATE FUNCTION fail_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition} THEN RAISE EXCEPTION 'a defect' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
        )
        await owner.execute(
            f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION fail_{table}()"
        )
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        found = await recount(database, topics, holder)
        with pytest.raises(asyncpg.PostgresIOError):
            await swap(holder, found)
        assert found.recount.failed == {"org_a": "RaiseError P0001: a defect"}


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


cells = st.dictionaries(
    st.integers(0, 5).map(lambda number: (number,)), st.lists(st.integers(-9, 9), min_size=2, max_size=2)
)


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


async def test_copies_get_the_verdict_that_counting_gave(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection, aggregator: None
) -> None:
    """A copy that came before its first event could be rated, one that cannot be rated, and one of held usage that is rejected
    when its rate arrives."""
    await learn(producer, topics, organization("org_a"), rate(credits="1000000", per="1"))
    tokens: dict[str, Any] = {"feature_kind": "model", "feature": "gpt", "unit": "tokens"}
    first = usage(envelope={"subject": "org_a"}, **tokens, quantity="5")
    beyond = {**first, "data": {**first["data"], "quantity": "5000"}}
    held = usage(envelope={"subject": "org_a"}, **{**tokens, "unit": "images"}, quantity="5000")
    for event in (beyond, first, beyond, held, held):
        headers = [] if event is held else [FIRST_WINS_HEADER]
        await producer.send_and_wait(topics.usage_events, as_written(event), headers=headers, partition=0)
    await until_applied(owner, topics, 5)
    await learn(
        producer, topics, rate(credits="1000000", per="1", unit="images", effective_from="2026-01-01T00:00:00Z")
    )

    async def is_rejected() -> bool:
        return await owner.fetchval("SELECT count(*) FROM usage_held") == 0

    await eventually(is_rejected, what="held usage rejected")
    async with only_rebuild(database.roles["flexcredits_rebuild"]) as holder:
        found = await recount(database, topics, holder)
    verdicts = found.recount.contradictions, found.recount.duplicate, found.recount.rejected
    assert verdicts == (0, 2, 2), found.recount.shown
    assert not found.differs


@given(cells, cells, cells)
def test_difference_added_after_more_was_counted_is_what_a_rebuild_would_have_counted(
    rebuilt: dict[tuple[int], list[int]], live: dict[tuple[int], list[int]], later: dict[tuple[int], list[int]]
) -> None:
    def add(*parts: dict[tuple[int], list[int]]) -> dict[tuple[int], tuple[int, int]]:
        keys = {key for part in parts for key in part}
        sums = {key: tuple(sum(part.get(key, [0, 0])[place] for part in parts) for place in (0, 1)) for key in keys}
        return {key: (cell[0], cell[1]) for key, cell in sums.items() if cell != (0, 0)}

    assert add(live, later, difference(rebuilt, live)) == add(rebuilt, later)
