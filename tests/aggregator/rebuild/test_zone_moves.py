"""Days move to another time zone, or to new rules of it."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from aggregator.rebuild.swap import CannotRebuild, only_rebuild
from aggregator.rebuild.time_zone import change_time_zone
from aiokafka import AIOKafkaProducer
from flexcredits_cli.cli import app
from flexcredits_schemas.zones import TZ_VERSION
from support.data.factories import organization, rate
from support.infra.stack import Database, Topics
from support.invariants.rollups import check_rollups
from support.services.rebuild import learn, recount, send_log, until_applied
from typer.testing import CliRunner


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
