"""Runs are recounted as a whole."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import asyncpg
from aggregator.rebuild.swap import Comparison, only_rebuild, swap
from aiokafka import AIOKafkaProducer
from support.data.factories import correction, organization, rfc3339, usage
from support.infra.stack import Database, Topics
from support.invariants.rollups import check_rollups
from support.services.rebuild import TODAY, learn, recount, until_applied


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
