"""Usage over time: lines and buckets add up to the table and the overview, in zones whose days differ from UTC's."""

import tracemalloc
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.usage.trend.domain.lines import OTHER_GROUPS, Cell, Group, draw_lines
from support.data.table_rows import NOW, TableRows, local
from support.services.query_api import Api

VIEWS = (
    ("assistant", "models"), ("assistant", "tools"), ("assistant", "other_features"), ("agents", "agents"), ("api", "namespaces"),
)  # fmt: skip
GROUPINGS = ("product", "category", "feature", "agent", "surface")


def micro(text: str) -> int:
    return int(text.replace(".", ""))


groups = st.sampled_from([Group("agent", f"agent/{name}", name) for name in "abcdef"])


@given(st.lists(st.builds(Cell, st.integers(0, 6), groups, st.integers(-9, 10**12), st.integers(0, 5)), max_size=40), st.integers(1, 8))  # fmt: skip
def test_no_credit_is_lost_in_other(cells: list[Cell], top: int) -> None:
    lines = draw_lines(cells, 7, top)
    sums: Counter[Group] = Counter()
    for cell in cells:
        sums[cell.group] += cell.credits
    for bucket in range(7):
        inside = [cell for cell in cells if cell.bucket == bucket]
        assert sum(line.credits[bucket] for line in lines) == sum(cell.credits for cell in inside)
        assert sum(line.events[bucket] for line in lines) == sum(cell.events for cell in inside)
    named = [line for line in lines if line.group != OTHER_GROUPS]
    assert len(named) == min(top, len(sums))
    assert [sum(line.credits) for line in named] == sorted(sums.values(), reverse=True)[:top]
    assert all(sum(line.credits) == sums[line.group] for line in named)
    assert (OTHER_GROUPS in [line.group for line in lines]) == (len(sums) > top)
    assert len(lines) == len({line.group.key for line in lines})


def test_a_group_that_is_always_there_has_a_line_of_zeros() -> None:
    group = Group("product", "api", "API", "api")
    assert draw_lines([], 2, 5, [group]) == [(group, [0, 0], [0, 0])]


async def use_at(db: TableRows, organization: int, zone: str, at: datetime, series: tuple[str, str, str, str, str], credits: int) -> None:  # fmt: skip
    """Add one event to every rollup."""
    product, kind, feature, agent, surface = series
    day = str(at.astimezone(ZoneInfo(zone)).date())
    number = await db.use(organization, product, kind, feature, day, credits, agent=agent, surface=surface)
    await db.ledger(organization, number, at, credits)


SERIES = [
    ("assistant", "model", "opus", "", "web"),
    ("assistant", "tool", "jira", "", "slack"),
    ("assistant", "feature", "code", "d1", "web"),
    ("assistant", "feature", "code", "", ""),
    ("agents", "tool", "jira", "a1", "slack"),
    ("agents", "feature", "code", "d1", "web"),
    ("agents", "feature", "code", "u1", "web"),
    ("agents", "model", "opus", "s1", ""),
    ("api", "namespace", "search", "", "sdk"),
]


async def furnish(db: TableRows, zone: str, name: str = "org_acme") -> int:
    acme = await db.organization(name, zone)
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-10-03", "2026-11-26", total=1000)
    for product in ("assistant", "agents"):
        await db.feature(0, product, "feature", "code", "2026-01-01", "Writing", "Code Writer")
        await db.feature(0, product, "feature", "code", "2026-10-20", "Coding")
        await db.feature(0, product, "tool", "jira", "2026-10-25", "Connectors")
    await db.agent(acme, "d1", "deleted", "Gone")
    await db.sighting(acme, "u1", "unsaved", "Draft")
    await db.sighting(acme, "s1", "system", "Chat")
    await db.agent(acme, "a1", "saved", "Report")
    return acme


DST = {
    "UTC": "2026-10-25", "Asia/Kathmandu": "2026-10-25", "America/St_Johns": "2026-11-01",
    "Europe/Berlin": "2026-10-25", "Australia/Lord_Howe": "2026-10-04",
}  # fmt: skip


@pytest.mark.parametrize("zone", DST)
async def test_every_trend_adds_up_to_the_breakdown_and_the_overview(api: Api, db: TableRows, zone: str) -> None:
    random = Random(zone)
    acme = await furnish(db, zone)
    changed = date.fromisoformat(DST[zone])
    for _ in range(120):
        # Half of the events are around the day on which clocks change.
        begin, hours = random.choice([(changed - timedelta(days=1), 72), (date(2026, 9, 28), 24 * 60)])
        at = local(zone, str(begin)) + timedelta(minutes=random.randrange(60 * hours))
        await use_at(db, acme, zone, at, random.choice(SERIES), random.choice([random.randrange(10**9), 1, -5]))
    whole = f"from={changed - timedelta(days=1)}&to={changed + timedelta(days=1)}"
    ranges = {
        whole: ("15m", "hour", "day", "week", "month"),
        f"from={changed}&to={changed}": ("15m", "hour", "day", "week", "month"),
        "credit_period=p1": ("day", "week", "month"),
        "from=2026-10&to=2026-10": ("hour", "day", "week", "month"),
        "range=all": ("day", "week", "month"),
    }
    for query, intervals in ranges.items():
        for surfaces in ("", "&surface=web", "&surface=&surface=slack"):
            totals: dict[str | None, tuple[int, int]] = {}
            for interval in intervals:
                for group_by in GROUPINGS:
                    product = random.choice([None, "assistant", "agents", "api"])
                    only = f"&product={product}" if product else ""
                    trend = await api.get(
                        f"/api/v1/trend?{query}{surfaces}&interval={interval}&group_by={group_by}{only}&top={random.randrange(1, 5)}"
                    )
                    total = micro(trend["total"]), trend["events"]
                    assert totals.setdefault(product, total) == total, (query, interval, group_by)
                    check(trend)
            if not surfaces:
                await compare_with_breakdown(api, query, totals)
            if query.startswith("credit_period") and not surfaces and None in totals:
                assert totals[None][0] == micro((await api.get("/api/v1/overview"))["credits_used"])


def check(trend: dict[str, Any]) -> None:
    """Buckets and series add up to the total."""
    assert sum(micro(bucket["total"]) for bucket in trend["buckets"]) == micro(trend["total"])
    assert sum(bucket["events"] for bucket in trend["buckets"]) == trend["events"]
    for n, bucket in enumerate(trend["buckets"]):
        assert sum(micro(series["credits"][n]) for series in trend["series"]) == micro(bucket["total"])
        assert sum(series["events"][n] for series in trend["series"]) == bucket["events"]
    for series in trend["series"]:
        assert sum(map(micro, series["credits"])) == micro(series["total"])
        assert len(series["credits"]) == len(series["events"]) == len(trend["buckets"])


async def compare_with_breakdown(api: Api, query: str, totals: dict[str | None, tuple[int, int]]) -> None:
    used: Counter[str | None] = Counter()
    events: Counter[str | None] = Counter()
    for product, view in VIEWS:
        breakdown = await api.get(f"/api/v1/breakdown?product={product}&view={view}&{query}")
        for key in (product, None):
            used[key] += micro(breakdown["total"])
            events[key] += breakdown["events"]
    for product_of, total in totals.items():
        assert total == (used[product_of], events[product_of]), (query, product_of)


@pytest.mark.parametrize("group_by", GROUPINGS)
async def test_a_trend_of_a_view_is_of_what_the_table_shows(api: Api, db: TableRows, group_by: str) -> None:
    acme = await furnish(db, "UTC")
    for number, series in enumerate(SERIES):
        await use_at(db, acme, "UTC", NOW, series, 10**number)
    for product, view in (*VIEWS, ("agents", "features")):
        shown = f"product={product}&view={view}&from=2026-11&to=2026-11"
        trend = await api.get(f"/api/v1/trend?{shown}&group_by={group_by}")
        check(trend)
        breakdown = await api.get(f"/api/v1/breakdown?{shown}")
        assert (trend["total"], trend["events"]) == (breakdown["total"], breakdown["events"])


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("view=models", "needs a `product`"),
        ("view=models&product=api", "the views of product `api` are: namespaces"),
    ],
)
async def test_a_view_that_is_no_view_of_the_product_is_refused(
    api: Api, db: TableRows, query: str, detail: str
) -> None:
    await furnish(db, "UTC")
    answer = await api.ask(f"/api/v1/trend?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"parameter": "view", "detail": detail}]


async def test_a_day_of_hours_in_full(api: Api, db: TableRows) -> None:
    acme = await furnish(db, "Asia/Kathmandu")
    await db.progress(0, local("Asia/Kathmandu", "2026-11-22", "17:30"))
    for time, credits in (("00:00", 1), ("00:59", 2), ("17:20", 4)):
        await use_at(db, acme, "Asia/Kathmandu", local("Asia/Kathmandu", "2026-11-22", time), SERIES[1], credits * 1_000_000)  # fmt: skip
    trend = await api.get("/api/v1/trend?from=2026-11-22&to=2026-11-22&group_by=category")
    assert (trend["interval"], trend["total"], trend["events"]) == ("hour", "7.000000", 3)
    assert trend["buckets"][0] == {
        "start_at": "2026-11-22T00:00:00+05:45", "end_at": "2026-11-22T01:00:00+05:45", "days": None,
        "state": "complete", "total": "3.000000", "events": 2,
    }  # fmt: skip
    assert [bucket["state"] for bucket in trend["buckets"][16:20]] == ["complete", "partial", "future", "future"]
    assert [(series["key"], series["kind"], series["credits"][17]) for series in trend["series"]] == [
        ("category/Connectors", "category", "4.000000")
    ]


@pytest.mark.parametrize(
    ("group_by", "lines"),
    [
        ("product", [("product", "agents", "Agents", 4), ("product", "assistant", "Assistant", 4), ("product", "api", "API", 1)]),
        ("surface", [
            ("surface", "surface/web", "web", 4), ("surface", "surface/", "No surface", 2),
            ("surface", "surface/slack", "slack", 2), ("surface", "surface/sdk", "sdk", 1),
        ]),
        ("agent", [
            ("no_agent", "no_agent", "No agent", 4), ("deleted", "deleted", "Deleted agents", 2),
            ("system", "system/s1", "Chat", 1), ("agent", "agent/a1", "Report", 1), ("unsaved", "unsaved", "Unsaved workflows", 1),
        ]),
        ("category", [
            ("category", "category/Coding", "Coding", 4), ("category", "category/Connectors", "Connectors", 2),
            ("model", "model/assistant/opus", "opus", 1), ("model", "model/agents/opus", "opus", 1),
            ("namespace", "namespace/api/search", "search", 1),
        ]),
        ("feature", [
            ("feature", "feature/agents/code", "Code Writer", 2), ("feature", "feature/assistant/code", "Code Writer", 2),
            ("tool", "tool/agents/jira", "jira", 1), ("tool", "tool/assistant/jira", "jira", 1),
            ("model", "model/agents/opus", "opus", 1), ("model", "model/assistant/opus", "opus", 1),
            ("namespace", "namespace/api/search", "search", 1),
        ]),
    ],
)  # fmt: skip
async def test_lines_of_each_grouping(api: Api, db: TableRows, group_by: str, lines: list[Any]) -> None:
    acme = await furnish(db, "UTC")
    for series in SERIES:
        await use_at(db, acme, "UTC", NOW, series, 1)
    trend = await api.get(f"/api/v1/trend?from=2026-11&to=2026-11&group_by={group_by}")
    found = [(line["kind"], line["key"], line["name"], micro(line["total"])) for line in trend["series"]]
    assert sorted(found) == sorted(lines)
    assert [line[3] for line in found] == sorted((line[3] for line in lines), reverse=True)


async def test_a_category_changes_inside_a_bucket_or_is_todays_for_all(api: Api, db: TableRows) -> None:
    acme = await furnish(db, "UTC")
    for day in ("2026-10-19", "2026-10-20", "2026-10-21"):
        await use_at(db, acme, "UTC", local("UTC", day), SERIES[3], 1)
    query = "/api/v1/trend?from=2026-10-01&to=2026-10-31&interval=month&group_by=category"
    assert [(line["name"], line["total"]) for line in (await api.get(query))["series"]] == [
        ("Coding", "0.000002"), ("Writing", "0.000001"),
    ]  # fmt: skip
    assert [(line["name"], line["total"]) for line in (await api.get(query + "&categories=now"))["series"]] == [
        ("Coding", "0.000003")
    ]


async def test_days_say_whether_their_data_has_come(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Europe/Berlin")
    await db.use(acme, "api", "namespace", "search", "2026-11-18", 5)
    await db.use(acme, "api", "namespace", "search", "2026-11-21", 5)
    for caught_up_at, states in (
        (local("Europe/Berlin", "2026-11-20", "10:00"), ["complete", "complete", "complete", "partial", "partial", "missing", "future"]),
        (None, ["missing", "partial", "missing", "missing", "partial", "missing", "future"]),
        (NOW, ["complete", "complete", "complete", "complete", "complete", "partial", "future"]),
    ):  # fmt: skip
        await db.execute("DELETE FROM partition_progress")
        await db.progress(0, caught_up_at)
        trend = await api.get("/api/v1/trend?from=2026-11-17&to=2026-11-23")
        assert [bucket["state"] for bucket in trend["buckets"]] == states
        assert trend["buckets"][0]["days"] == {"from": "2026-11-17", "to": "2026-11-17"}


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("from=2026-11-01&to=2026-11-04&interval=15m", "interval", "up to 3 days"),
        ("from=2026-10-01&to=2026-11-01&interval=hour", "interval", "up to 31 days"),
        ("from=2020-01&to=2026-11&interval=day", "interval", "up to 1,100 days"),
        ("from=2000-01&to=2999-12", "interval", "up to 33,000 days"),
        ("from=0001-01&to=2026-12", "from", "2000 to 2999"),
        ("from=2026-01&to=9999-12", "from", "2000 to 2999"),
        ("from=2021-11-01&to=2021-11-01&interval=hour", "interval", "kept since"),
        ("interval=minute", "interval", "must be"),
        ("group_by=model", "group_by", "must be"),
        ("top=0", "top", "greater than"),
        ("product=chat", "product", "must be"),
        ("view=agents", "view", "needs a `product`"),
    ],
)
async def test_a_trend_that_cannot_be_drawn_says_why(api: Api, db: TableRows, query: str, parameter: str, says: str) -> None:  # fmt: skip
    await db.organization()
    answer = await api.ask(f"/api/v1/trend?{query}")
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert says in error["detail"]


async def test_a_short_range_of_long_ago_is_a_trend_by_day(api: Api, db: TableRows) -> None:
    await db.organization()
    assert (await api.get("/api/v1/trend?from=2021-11-01&to=2021-11-01"))["interval"] == "day"
    assert (await api.get("/api/v1/trend?from=2026-11-01&to=2026-11-01"))["interval"] == "hour"


async def test_an_unknown_organization_has_a_trend_of_nothing(api: Api) -> None:
    trend = await api.get("/api/v1/trend?range=all", organization="org_unknown")
    assert (trend["total"], trend["time_zone"], len(trend["buckets"])) == ("0.000000", None, 24)
    assert [line["key"] for line in trend["series"]] == ["api", "agents", "assistant"]
    assert all(bucket["start_at"].endswith("Z") for bucket in trend["buckets"])
    assert datetime.fromisoformat(trend["buckets"][0]["start_at"]) == NOW.astimezone(UTC).replace(hour=0)


def test_groups_beyond_the_first_take_no_memory_for_each_bucket() -> None:
    """20,000 agents took 360 MB for three years of days: 100,000 would end the process for everyone."""
    cells = [Cell(number % 1_100, Group("agent", f"agent/{number}", f"{number}"), number, 1) for number in range(3_000)]
    tracemalloc.start()
    lines = draw_lines(cells, 1_100, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line.group.name for line in lines[:2]] == ["2999", "2998"]
    assert sum(sum(line.credits) for line in lines) == sum(cell.credits for cell in cells)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("group_by", "interval", "first"),
    [("agent", "day", "2024-01-01"), ("feature", "day", "2024-01-01"), ("category", "day", "2024-01-01"),
     ("surface", "day", "2024-01-01"), ("agent", "hour", "2026-11-01"), ("surface", "hour", "2026-11-01")],
)  # fmt: skip
async def test_a_trend_of_very_many_cells_has_the_lines_of_few_large_buckets(
    api: Api, db: TableRows, group_by: str, interval: str, first: str
) -> None:
    """Only its first groups are read by bucket."""
    acme, random = await db.organization("org_acme"), Random(7)
    begin = datetime(2026, 11, 1, tzinfo=UTC) if interval == "hour" else datetime(2024, 1, 1, tzinfo=UTC)
    days = (datetime(2026, 11, 22, tzinfo=UTC) - begin).days
    for number in range(45):
        feature, surface = f"f{number % 40}", f"s{number % 42}"
        for _ in range(2):
            at = begin + timedelta(days=random.randrange(days), hours=random.randrange(24))
            series, credits = ("agents", "tool", feature, f"a{number}", surface), random.randint(1, 5)
            if interval == "hour":
                await use_at(db, acme, "UTC", at, series, credits)
            else:  # quarters of an hour are not kept for so long
                await db.use(acme, *series[:3], str(at.date()), credits, agent=series[3], surface=series[4])
    await db.feature(acme, "agents", "tool", "f1", "2020-01-01", "Category")
    path = f"/api/v1/trend?product=agents&group_by={group_by}&top=7&from={first}&to=2026-11-22&interval="
    few, many = await api.get(path + ("day" if interval == "hour" else "month")), await api.get(path + interval)
    assert len(many["buckets"]) > 500
    assert many["total"] == few["total"]
    assert many["events"] == few["events"] == 90

    def totals(trend: Any) -> list[Any]:
        return [(line["key"], line["name"], line["total"], sum(line["events"])) for line in trend["series"]]

    assert totals(many) == totals(few)
    assert [line["kind"] for line in many["series"]] == [line["kind"] for line in few["series"]]
    assert many["series"][-1]["kind"] == "other"
    for line in many["series"]:
        assert sum(map(micro, line["credits"])) == micro(line["total"])
    by_bucket = [sum(micro(line["credits"][place]) for line in many["series"]) for place in range(len(many["buckets"]))]
    assert by_bucket == [micro(bucket["total"]) for bucket in many["buckets"]]
