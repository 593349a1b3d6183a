"""The command, and the rights of its role."""

import asyncio
import json
import re
from datetime import datetime, timedelta

import asyncpg
import pytest
from aggregator.rebuild.swap import SLACK, CannotRebuild, only_rebuild
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from click.testing import Result
from flexcredits_cli.cli import app
from flexcredits_cli.terminal.problem import SetupProblem
from support.data.factories import organization, usage
from support.infra.stack import Database, Topics
from support.invariants.rollups import check_rollups
from support.services.rebuild import SINCE, TODAY, learn, until_applied
from typer.testing import CliRunner


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
