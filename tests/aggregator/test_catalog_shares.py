"""Catalog events of one organization in any number: the usage of others does not wait for them, and none is lost."""

from datetime import date, timedelta
from typing import Any

import asyncpg
from aggregator.backlog.quarantined import find_widespread
from aggregator.catalog.shares import EVENT_COST, SHARE
from runtime.kafka.clients import open_producer
from support.data.factories import contract, event, organization, usage
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.aggregator import Aggregator
from support.services.aggregator_process import send, send_catalog_events, until_applied

FITTING = SHARE // (EVENT_COST + 500)
"""Small contracts that certainly fit into a share."""


def of_day(name: str, number: int, add_ons: int = 0) -> dict[str, Any]:
    """A contract of one day, which overlaps with no other one."""
    begins = date(2001, 1, 1) + timedelta(number)
    days = {"from": str(begins), "to": str(begins + timedelta(1))}
    period = {"id": "p", **days, "total": "5", "add_ons": [{"name": "more", "credits": "1"}] * min(add_ons, 50)}
    return event(
        "flexcredits.contract.v1", {"contract_id": f"c{number}", **days, "credit_periods": [period]}, subject=name
    )


async def test_usage_of_others_does_not_wait_for_the_contracts_of_one_organization(
    database: Database, topics: Topics, owner: asyncpg.Connection
) -> None:
    number = 6_000
    contracts = [of_day("org_big", at, 20) for at in range(number)]
    async with open_producer(topics.bootstrap, "test") as producer:
        await send_catalog_events(producer, topics)
        with running("aggregator", aggregator_environment(database, topics)) as process:
            await send(producer, topics.usage_events, [usage()])
            await until_applied(owner, topics, 1)
            await send(producer, topics.catalog, [organization("org_big"), *contracts], partition=0)
            for count in range(2, 7):
                await send(producer, topics.usage_events, [usage()], partition=0)
                await until_applied(owner, topics, count)
                applied = await owner.fetchval("SELECT count(*) FROM contracts")
                assert applied < number // 2, "the use was counted before most of them were applied"

            async def all_applied() -> bool:
                return bool(await owner.fetchval("SELECT count(*) FROM contracts") == number)

            await eventually(all_applied, within_s=120, what="all contracts")
            assert "in quarantine" not in process.log
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    progress = await owner.fetchrow("SELECT * FROM partition_progress WHERE topic = $1", topics.catalog)
    assert progress is not None
    assert (progress["next_offset"], progress["counted"], progress["held"]) == (number + 3, number + 3, 0)


async def test_what_is_beyond_the_share_of_an_organization_waits_for_its_turn_and_keeps_its_order(
    aggregator: Aggregator,
) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    versions = [contract("org_a", total=str(number)) for number in range(1, 3 * FITTING)]
    await aggregator.learn(*versions, contract("org_b", total="7"))

    async def totals() -> dict[str, int]:
        rows = await aggregator.pool.fetch(
            "SELECT organization, total FROM credit_periods JOIN organizations USING (organization_id)"
        )
        return {row["organization"]: row["total"] // 1_000_000 for row in rows}

    found = await totals()
    assert found["org_b"] == 7
    assert FITTING <= found["org_a"] < len(versions)
    assert await find_widespread(aggregator.pool) is None, "none has failed"
    await aggregator.learn(contract("org_a", total="1000"), contract("org_b", total="8"))
    assert await totals() == found | {"org_b": 8}, "the later one waits behind the earlier ones"
    assert await aggregator.retry() == len(versions) - found["org_a"] + 1
    assert await totals() == {"org_a": 1000, "org_b": 8}
    assert await aggregator.pool.fetchval("SELECT count(*) FROM quarantine") == 0
    row = await aggregator.pool.fetchrow("SELECT * FROM partition_progress WHERE topic = 'usage.catalog.v1'")
    assert row is not None
    assert (row["counted"], row["held"], row["rejected"]) == (row["next_offset"], 0, 0)


async def test_an_organizations_zone_does_not_wait_behind_its_contracts(aggregator: Aggregator) -> None:
    """The first use fixes the zone: one that was sent before it must be in force, wherever a fetch of the log ends."""
    await aggregator.learn(organization("org_a", time_zone="UTC"))
    versions = [contract("org_a", total=str(number)) for number in range(1, 3 * FITTING)]
    await aggregator.learn(*versions, organization("org_a", time_zone="Asia/Tokyo"))
    zone = "SELECT time_zone FROM organizations WHERE organization = 'org_a'"
    assert await aggregator.pool.fetchval("SELECT count(*) FROM quarantine") == 1
    assert await aggregator.pool.fetchval(zone) == "Asia/Tokyo"
    await aggregator.learn(organization("org_a", time_zone="Europe/Paris"))
    assert await aggregator.pool.fetchval(zone) == "Europe/Paris"


async def test_contracts_that_waited_for_their_turn_are_not_late(aggregator: Aggregator) -> None:
    """Manifests of files by people are deleted after a late event, because it may be a removal."""
    await aggregator.learn(organization("org_a"))
    versions = [contract("org_a", total=str(number)) for number in range(1, 3 * FITTING)]
    await aggregator.learn(*versions)
    assert await aggregator.retry() > 0
    assert await aggregator.pool.fetchval("SELECT count(*) FROM catalog_reloads") == 0


async def test_the_largest_contract_is_applied_although_it_is_beyond_a_share(aggregator: Aggregator) -> None:
    days = [date(2001, 1, 1) + timedelta(number) for number in range(201)]
    periods = [
        {
            "id": f"p{at}",
            "from": str(days[at]),
            "to": str(days[at + 1]),
            "add_ons": [{"name": "a", "credits": "1"}] * 45,
        }
        for at in range(200)
    ]
    data = {"contract_id": "c", "from": str(days[0]), "to": str(days[-1]), "credit_periods": periods}
    large = [event("flexcredits.contract.v1", data, subject="org_a") for _ in range(3)]
    await aggregator.learn(organization("org_a"))
    await aggregator.learn(*large)
    assert await aggregator.pool.fetchval("SELECT count(*) FROM add_ons") == 9_000
    assert await aggregator.retry() == 2
    assert await aggregator.pool.fetchval("SELECT count(*) FROM quarantine") == 0
