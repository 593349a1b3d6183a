"""Requests share names, trees, unchanged months and answers; what they get is that of a process without them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import date, timedelta

import pytest
from flexcredits_schemas.events import Product
from query_api.calendar import Days
from query_api.db.cache import VersionedCache
from query_api.db.session import read_as
from query_api.db.statements import SQL
from query_api.turns import compute
from query_api.usage.breakdown.compute import TableUsage
from query_api.usage.breakdown.domain.tree import ViewTree
from query_api.usage.breakdown.names import NamedView, Names, ProductNames
from query_api.usage.breakdown.routes import write_breakdown
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.domain.catalog import Feature, Features
from query_api.usage.domain.series import PickedSeries, Series, SeriesColumns
from query_api.usage.versions import select_usage_version
from runtime.postgres.pool import Pool, open_pool
from support.data.table_rows import TOPIC, TableRows
from support.infra.stack import Database
from support.services.query_api import Api, OpenApi

VIEWS = [
    f"/api/v1/breakdown?product={product}&view={view}{more}&from=2026-11&to=2026-11"
    for product, view in (("assistant", "tools"), ("agents", "agents"), ("agents", "features"))
    for more in ("", "&group_by=surface", "&categories=now")
]
RANGES = [f"{view}&{days}" for view in (f"{path.partition('&from')[0]}" for path in VIEWS[::4]) for days in (
    "range=all", "from=2026-10&to=2026-11", "from=2026-09-14&to=2026-11-20", "from=2026-11-02&to=2026-11-03",
    "from=2026-11&to=2026-11&surface=web",
)]  # fmt: skip
TOTALS = ["/api/v1/overview", *(f"/api/v1/trend?from=2026-09-14&to=2026-11-30&interval={each}" for each in ("day", "week", "month"))]  # fmt: skip
PATHS = [*VIEWS, *RANGES, *TOTALS, "/api/v1/deleted-agents?range=all"]


async def fill(db: TableRows, name: str) -> int:
    """The same ids in each organization, with names of its own."""
    number = await db.organization(f"org_{name}")
    await db.feature(number, "assistant", "tool", "jira", "2026-01-01", f"Category {name}", f"Jira {name}")
    await db.agent(number, "a1", "saved", f"Agent {name}")
    await db.use(number, "assistant", "tool", "jira", "2026-11-02", 5, surface="web")
    await db.use(number, "agents", "tool", "jira", "2026-11-02", 7, agent="a1")
    for day in ("2026-09-20", "2026-10-05"):
        await db.use(number, "assistant", "tool", "jira", day, 11, surface="web")
        await db.use(number, "assistant", "tool", "slack", day, 13, surface="slack")
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", f"p {name}", "2026-10-03", "2027-01-01", total=100)
    return number


async def answers(api: Api, organization: str) -> list[str]:
    return [(await api.ask(path, organization=organization)).text for path in PATHS]


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


async def use_late(api: Api, db: TableRows, number: int) -> None:
    await db.use(number, "assistant", "tool", "jira", "2026-10-04", 3, surface="web")


async def correct(api: Api, db: TableRows, number: int) -> None:
    await db.correct(number, "assistant", "tool", "jira", "2026-10-05", -3, surface="web")


async def correct_and_correct_back(api: Api, db: TableRows, number: int) -> None:
    """No sum of the organization changes."""
    await db.correct(number, "assistant", "tool", "jira", "2026-10-05", -3, surface="web")
    await db.correct(number, "assistant", "tool", "slack", "2026-10-05", 3, surface="slack")


async def rebuild(api: Api, db: TableRows, number: int) -> None:
    """Credits move between days and series, and no sum of a month changes."""
    for table in ("usage_daily", "usage_organization_daily"):
        await db.execute(f"UPDATE {table} SET day = '2026-09-21' WHERE day = '2026-09-20'")
    series = await db.series(number, "assistant", "tool", "slack", "", "slack")
    await db.execute("UPDATE usage_monthly SET credits = 24, events = 2 WHERE month = '2026-09-01'")
    await db.execute("DELETE FROM usage_monthly WHERE month = '2026-09-01' AND series_id = $1", series)
    await db.execute("INSERT INTO rebuilds (organization_id, first_on, last_on) VALUES ($1, now(), now())", number)


async def change_the_contract(api: Api, db: TableRows, number: int) -> None:
    await db.execute("UPDATE credit_periods SET starts_on = '2026-09-20', total = 7")
    await db.execute("UPDATE contracts SET event_offset = event_offset + 1")


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


@pytest.mark.parametrize(
    "change",
    [
        add_series, use_more, use_late, correct, correct_and_correct_back, rebuild, change_the_contract, rename_agent, see_agent,
        change_category, let_a_day_begin,
    ],
)  # fmt: skip
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


async def test_only_months_that_changed_are_read_again(open_api: OpenApi, db: TableRows, database: Database) -> None:
    number = await fill(db, "one")
    names = {text: name for name, text in SQL.items()}
    sent: list[str] = []
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(
            dsn, application="test", size=1, at_least=0, statement_timeout_s=10,
            on_statement=lambda ended: sent.append(names.get(ended.query, ended.query)),
        ) as pool,
        open_api(pool) as api,
    ):  # fmt: skip
        paths = [VIEWS[0], VIEWS[3], RANGES[0], *TOTALS]
        for path in paths:
            await api.get(path, organization="org_one")
        sent.clear()
        for path in paths:
            await api.get(path, organization="org_one")
        assert {name for name in sent if "select_days" not in name and ";" not in name} == {
            "select_organization", "select_usage_version"
        }  # fmt: skip
        await db.use(number, "assistant", "tool", "jira", "2026-10-04", 3, surface="web")
        sent.clear()
        await api.get(VIEWS[0], organization="org_one")
        assert {"read_series", "sum_series", "sum_picked_series"} & {*sent}
        sent.clear()
        await api.get(VIEWS[3], organization="org_one")
        assert not {"read_series", "sum_series", "sum_picked_series"} & {*sent}  # the usage of another product changed


def test_a_cache_returns_values_of_the_same_version_only() -> None:
    cache = VersionedCache(bytes_max=10)
    cache.put(("days", 1), "v1", "one", 4)
    assert (cache.get(("days", 1), "v1"), cache.get(("days", 1), "v2"), cache.get(("days", 2), "v1")) == ("one", None, None)  # fmt: skip
    cache.put(("days", 1), "v2", "two", 5)
    assert (cache.get(("days", 1), "v1"), cache.get(("days", 1), "v2")) == (None, "two")
    cache.put(("days", 2), "v1", "other", 5)
    assert cache.get(("days", 1), "v2") == "two"
    cache.put(("days", 3), "v1", "third", 5)  # the value used longest ago leaves
    assert [cache.get(("days", number), version) for number, version in ((1, "v2"), (2, "v1"), (3, "v1"))] == ["two", None, "third"]  # fmt: skip
    cache.put(("days", 4), "v1", "large", 99)
    assert [cache.get(("days", number), "v1") for number in (3, 4)] == [None, "large"]


def test_an_organization_with_many_values_does_not_push_out_those_of_others() -> None:
    cache = VersionedCache(bytes_max=100)
    cache.put(("days", 1), "v1", "one", 20)
    for number in range(1_000):  # such as projections of agents
        cache.put(("outlook", 2, number), "v1", number, 10)
    assert cache.get(("days", 1), "v1") == "one"
    kept = [number for number in range(1_000) if cache.get(("outlook", 2, number), "v1") is not None]
    assert kept == [*range(992, 1_000)]  # what no other one needs
    for organization in range(3, 8):
        cache.put(("days", organization), "v1", "other", 10)
    assert all(cache.get(("days", organization), "v1") for organization in (1, *range(3, 8)))
    cache.put(("days", 9), "v1", "large", 99)
    assert cache.get(("days", 9), "v1") == "large"


async def test_only_the_organizations_read_last_are_kept(pool: Pool, db: TableRows) -> None:
    names = Names(series_max=3)
    for name in ("one", "two", "three"):
        number = await fill(db, name)
        await db.use(number, "assistant", "tool", "search", "2026-11-02", 3)

    async def read(name: str) -> object:
        async with read_as(pool, f"org_{name}", "") as session:
            version = await select_usage_version(session, TOPIC)
            await names.read_agents(session, version, "agents")
            return await names.read(session, version, "assistant", ("tool",))

    first = await read("one")
    assert await read("one") is first
    await read("two")
    await read("three")
    assert await read("one") is not first


async def test_an_organization_with_many_series_pushes_out_no_names_of_others(pool: Pool, db: TableRows) -> None:
    names = Names(series_max=12)
    await fill(db, "quiet")
    many = await fill(db, "many")
    for feature in range(5):
        await db.use(many, "assistant", "tool", f"{feature}", "2026-11-02", 3)
        await db.use(many, "agents", "tool", f"{feature}", "2026-11-02", 3, agent="a1")

    async def read(name: str, product: Product) -> object:
        async with read_as(pool, f"org_{name}", "") as session:
            return await names.read(session, await select_usage_version(session, TOPIC), product, ("tool",))

    of_quiet = await read("quiet", "assistant")
    first = await read("many", "assistant")
    last = await read("many", "agents")
    assert await read("quiet", "assistant") is of_quiet
    assert await read("many", "agents") is last
    assert await read("many", "assistant") is not first, "it has lost its own"


async def test_a_finished_session_gives_its_connection_to_the_next(db: TableRows, pool: Pool) -> None:
    """The pool has four connections, of which one organization gets three."""
    await fill(db, "one")
    async with AsyncExitStack() as stack:
        for _ in range(9):
            session = await stack.enter_async_context(read_as(pool, "org_one", "", wait_s=0.2))
            await session.finish()


async def test_the_event_loop_goes_on_while_the_table_of_very_many_agents_is_computed() -> None:
    """It serves all organizations, and stood still for the whole computation."""
    of_all = {n: Series(Feature("tool", f"f{n % 50}"), f"a{n}", "web", "agents") for n in range(50_000)}
    series, today = PickedSeries(of_all, len(of_all)), date(2026, 11, 22)
    features, days = Features((), today), Days(date(2026, 11, 1), date(2026, 11, 30))
    view = NamedView(today, {}, features, ViewTree("agents", features, {}), has_categories=False)
    sums = [(days.first, SeriesColumns.of([*of_all], [*of_all], [1] * len(of_all)))]
    names = ProductNames((), "agents", ("tool",), series, (), [])
    used = TableUsage(days, None, days.first, names, view, series, sums, None)
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    watching, query = asyncio.create_task(watch()), BreakdownQuery(product="agents", view="agents")
    await asyncio.sleep(0.01)
    before = turns
    head = await compute(1, used.size, write_breakdown, query, used, None, "UTC", {}, [])
    during = turns - before
    watching.cancel()
    assert len(head) > 5_000_000
    assert during > 10
