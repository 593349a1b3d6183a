"""Names and trees are shared by requests, and answers are those of a process without them."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from query_api.db.session import read_as
from query_api.usage.breakdown.names import Names
from query_api.usage.breakdown.queries import select_usage_version
from runtime.postgres.pool import Pool
from support.data.table_rows import TableRows
from support.services.query_api import Api, OpenApi

VIEWS = [
    f"/api/v1/breakdown?product={product}&view={view}{more}&from=2026-11&to=2026-11"
    for product, view in (("assistant", "tools"), ("agents", "agents"), ("agents", "features"))
    for more in ("", "&group_by=surface", "&categories=now")
]


async def fill(db: TableRows, name: str) -> int:
    """The same ids in each organization, with names of its own."""
    number = await db.organization(f"org_{name}")
    await db.feature(number, "assistant", "tool", "jira", "2026-01-01", f"Category {name}", f"Jira {name}")
    await db.agent(number, "a1", "saved", f"Agent {name}")
    await db.use(number, "assistant", "tool", "jira", "2026-11-02", 5, surface="web")
    await db.use(number, "agents", "tool", "jira", "2026-11-02", 7, agent="a1")
    return number


async def answers(api: Api, organization: str) -> list[str]:
    return [(await api.ask(path, organization=organization)).text for path in VIEWS]


async def test_organizations_with_the_same_ids_never_share_a_name(api: Api, db: TableRows) -> None:
    for name in ("one", "two"):
        await fill(db, name)
    for _ in range(3):
        for name, other in (("one", "two"), ("two", "one")):
            texts = await answers(api, f"org_{name}")
            assert f'"Jira {name}"' in texts[0]
            assert f'"Agent {name}"' in texts[3]
            assert not any(f" {other}" in text for text in texts)
    assert '"rows":[]' in (await answers(api, "org_unknown"))[0]


Change = Callable[[Api, TableRows, int], Awaitable[object]]


async def add_series(api: Api, db: TableRows, number: int) -> None:
    await db.use(number, "assistant", "tool", "search", "2026-11-02", 3, surface="slack")
    await db.use(number, "agents", "tool", "search", "2026-11-02", 3, agent="a2")


async def use_more(api: Api, db: TableRows, number: int) -> None:
    await db.use(number, "assistant", "tool", "jira", "2026-11-03", 3, surface="web")


async def rename_agent(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE agents SET name = 'Another', event_offset = 90 WHERE organization_id = $1", number)


async def see_agent(api: Api, db: TableRows, number: int) -> None:
    await db.use(number, "agents", "tool", "jira", "2026-11-04", 1, agent="a3")
    await answers(api, "org_one")
    await db.sighting(number, "a3", "system", "Deep Research")


async def change_category(api: Api, db: TableRows, number: int) -> None:
    await db.feature(number, "assistant", "tool", "jira", "2026-11-02", "Later")
    await db.execute("UPDATE features SET event_offset = 90")
    await db.use(number, "assistant", "tool", "jira", "2026-11-01", 9, surface="web")


async def let_a_day_begin(api: Api, db: TableRows, number: int) -> None:
    await db.feature(number, "assistant", "tool", "jira", "2026-11-30", "Soon", "Soon")
    await db.execute("UPDATE features SET event_offset = 90")
    await answers(api, "org_one")
    api.now += timedelta(days=60)


@pytest.mark.parametrize("change", [add_series, use_more, rename_agent, see_agent, change_category, let_a_day_begin])
async def test_after_a_change_answers_are_those_of_a_new_process(
    open_api: OpenApi, api: Api, db: TableRows, change: Change
) -> None:
    number = await fill(db, "one")
    before = await answers(api, "org_one")
    await change(api, db, number)
    after = await answers(api, "org_one")
    async with open_api() as new:
        new.now = api.now
        assert after == await answers(new, "org_one")
    assert after != before


async def test_only_the_organizations_read_last_are_kept(pool: Pool, db: TableRows) -> None:
    names = Names(series_max=3)
    for name in ("one", "two", "three"):
        number = await fill(db, name)
        await db.use(number, "assistant", "tool", "search", "2026-11-02", 3)

    async def read(name: str) -> object:
        async with read_as(pool, f"org_{name}", "") as session:
            version = await select_usage_version(session)
            await names.read_agents(session, version, "agents")
            return await names.read(session, version, "assistant", ("tool",))

    first = await read("one")
    assert await read("one") is first
    await read("two")
    await read("three")
    assert await read("one") is not first


async def test_a_finished_session_gives_its_connection_to_the_next(db: TableRows, pool: Pool) -> None:
    """The pool has four connections, of which one organization gets three."""
    await fill(db, "one")
    async with AsyncExitStack() as stack:
        for _ in range(9):
            session = await stack.enter_async_context(read_as(pool, "org_one", "", wait_s=0.2))
            await session.finish()
