"""Missing optional fields never erase values, in catalog events and usage."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import asyncpg
import pytest
from support.data.factories import event, organization, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool)
        await here.learn(organization())
        yield here


def use(hour: int, name: str | None, agent_id: str = "agt_1", kind: str = "saved") -> dict[str, Any]:
    agent = {"id": agent_id, "kind": kind} | ({} if name is None else {"name": name})
    return usage(product="agents", agent=agent, envelope={"time": rfc3339(NOW + timedelta(hours=hour - 24))})


async def seen(aggregator: Aggregator) -> list[tuple[str, str, str]]:
    rows = await aggregator.pool.fetch("SELECT agent_id, name, kind FROM agent_sightings ORDER BY 1")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("apart", [True, False])
async def test_usage_without_the_agents_name_keeps_it(aggregator: Aggregator, apart: bool) -> None:
    sent = [use(1, "Quarterly report"), use(2, None), use(3, "Annual report"), use(4, None, kind="unsaved")]
    batches = [[item] for item in sent] if apart else [sent]
    offset = 0
    for batch in batches:
        await aggregator.count(records(batch, first=offset))
        offset += len(batch)
    assert await seen(aggregator) == [("agt_1", "Annual report", "unsaved")]


async def test_the_latest_name_is_kept_in_any_order(aggregator: Aggregator) -> None:
    """A different agent for each order. Each event is its own batch, counted by one of two aggregators."""
    second = Aggregator(aggregator.pool)
    async with second.pool.acquire() as connection:
        await second.catalog.refresh(connection, aggregator.catalog.version)
    offset = 0
    orders = [*permutations([(1, None), (2, "First"), (3, "Second"), (4, None)])]
    for number, order in enumerate(orders):
        for at, (hour, name) in enumerate(order):
            here = (aggregator, second)[at % 2]
            await here.count(records([use(hour, name, f"agt_{number:02}")], first=offset))
            offset += 1
    assert await seen(aggregator) == [(f"agt_{number:02}", "Second", "saved") for number in range(len(orders))]


async def apply(aggregator: Aggregator, kind: str, *data: dict[str, Any]) -> None:
    catalog_events = [
        event(f"flexcredits.{kind}.v1", item, time=rfc3339(NOW + timedelta(seconds=at - 60)))
        for at, item in enumerate(data)
    ]
    await aggregator.learn(*catalog_events)


async def test_catalog_events_keep_fields_that_they_omit(aggregator: Aggregator) -> None:
    tool = {"product": "assistant", "feature_kind": "tool", "feature": "jira", "effective_from": "2026-01-01"}
    await apply(
        aggregator, "feature", {**tool, "display_name": "Jira"}, {**tool, "category": "Search"}, {**tool, "display_name": "Jira Cloud"}
    )  # fmt: skip
    found = await aggregator.pool.fetchrow("SELECT display_name, category FROM features")
    assert found is not None
    assert tuple(found) == ("Jira Cloud", "Search")

    person = {"email": "ada@acme.example", "role": "admin"}
    await apply(aggregator, "member", {**person, "name": "Ada"}, {**person, "role": "super_admin"})
    found = await aggregator.pool.fetchrow("SELECT name, role FROM members")
    assert found is not None
    assert tuple(found) == ("Ada", "super_admin")

    await apply(
        aggregator,
        "agent",
        {"id": "a", "state": "saved", "name": "Report", "owner": "ada"},
        {"id": "a", "state": "deleted"},
    )
    found = await aggregator.pool.fetchrow("SELECT state, name, owner FROM agents")
    assert found is not None
    assert tuple(found) == ("deleted", "Report", "ada")


async def test_an_organization_event_keeps_fields_that_it_omits(aggregator: Aggregator) -> None:
    async def said() -> tuple[Any, ...]:
        row = await aggregator.pool.fetchrow(
            "SELECT name, billing_moderator_enabled, locale FROM organizations WHERE organization = 'org_acme'"
        )
        return tuple(row or ())

    assert await said() == ("Acme", False, "en-US")
    base = {"name": "Acme Corp", "time_zone": "UTC"}
    later = [
        event("flexcredits.organization.v1", base | more, time=rfc3339(datetime.now(UTC)))
        for more in ({"billing_moderator_enabled": True, "locale": "de-DE"}, {}, {"locale": "fr-FR"})
    ]
    await aggregator.learn(later[0])
    await aggregator.learn(later[1])
    assert await said() == ("Acme Corp", True, "de-DE")
    await aggregator.learn(later[2])
    assert await said() == ("Acme Corp", True, "fr-FR")
    await aggregator.learn(
        event(
            "flexcredits.organization.v1", base | {"billing_moderator_enabled": False}, time=rfc3339(datetime.now(UTC))
        )
    )
    assert await said() == ("Acme Corp", False, "fr-FR")
