"""What has changed since a file: each cause by name, and parts that add up to the difference, to the micro-credit."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import numpy as np
import pytest
from aggregator.rebuild.time_zone import change_time_zone
from hypothesis import given
from hypothesis import strategies as st
from query_api.access.state import ExportLimits
from query_api.calendar import Days
from query_api.exports.changes.differences import DayCredits, compare, cut_days, cut_pair, sums_of, sums_of_days
from query_api.exports.changes.worth import compare_worth
from query_api.exports.domain.labels import Label
from query_api.exports.formats.rows import LabelIndex, Rows
from support.clients.export_files import read_csv, total
from support.data.factories import correction, event, rate, records, usage
from support.data.random_history import catalog_events, random_history, the_rate
from support.data.table_rows import TableRows
from support.infra.stack import Database
from support.services.aggregator import Aggregator
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
MANIFESTS = f"{EXPORT}/manifests"
AT = "2026-11-10T10:00:00Z"


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


async def make(api: Api, query: str) -> tuple[str, list[dict[str, str]]]:
    answer = await api.ask(f"{EXPORT}/usage.csv?{query}")
    assert answer.status_code == 200, answer.text
    return answer.headers["flexcredits-export"], read_csv(answer.text)


def by_category(lines: list[dict[str, Any]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        sums[line["category"] or ""] += Decimal(line["credits"])
    return {category: credits for category, credits in sums.items() if credits}


async def check(api: Api, export: str, before: list[dict[str, str]], query: str) -> dict[str, Decimal]:
    """The credits of each cause; they add up to the difference between the file of then and the file of now."""
    answer = await api.get(f"{MANIFESTS}/{export}/changes?limit=2000")
    days = (await api.get(f"{MANIFESTS}/{export}"))["days"]
    _, now = await make(api, query.replace("range=all", f"from={days['from']}&to={days['to']}"))
    assert Decimal(answer["credits_before"]) == total(before)
    assert Decimal(answer["credits_now"]) == total(now)
    assert answer["events_before"] == sum(int(line["events"]) for line in before)
    assert answer["events_now"] == sum(int(line["events"]) for line in now)
    assert answer["left_out"] == 0
    causes = {each["cause"]: Decimal(each["credits"]) for each in answer["causes"]}
    events = {each["cause"]: each["events"] for each in answer["causes"]}
    assert list(causes) == ["late", "corrected", "recategorized", "moved", "re_rated"]
    assert sum(causes.values()) == Decimal(answer["difference"]) == total(now) - total(before)
    assert sum(events.values()) == answer["events_now"] - answer["events_before"]
    for cause, credits in causes.items():
        of_cause = [change for change in answer["changes"] if change["cause"] == cause]
        assert sum(Decimal(change["credits"]) for change in of_cause) == credits
        assert sum(change["events"] for change in of_cause) == events[cause]
        if cause != "re_rated":
            assert len(of_cause) == next(each["changes"] for each in answer["causes"] if each["cause"] == cause)
    expected = defaultdict(Decimal, by_category(before))
    for category, credits in by_category(answer["changes"]).items():
        expected[category] += credits
    assert {category: credits for category, credits in expected.items() if credits} == by_category(now)
    for worth in answer["worth"]:
        parts = (Decimal(worth[part]) for part in ("before", "used", "re_rated"))
        assert sum(parts) == Decimal(worth["now"])
    return causes


QUERIES = ("range=all", "from=2026-10&to=2026-11&product=agents&view=features", "from=2026-10-25&to=2026-11-01", "from=2026-09&to=2026-11&surface=web")  # fmt: skip


@pytest.mark.parametrize(("zone", "moved_to"), [("Europe/Berlin", "Asia/Kathmandu"), ("America/St_Johns", "Australia/Lord_Howe")])  # fmt: skip
async def test_causes_add_up_for_random_histories(
    api: Api, aggregator: Aggregator, database: Database, db: TableRows, zone: str, moved_to: str
) -> None:
    chance = random.Random(zone)
    _, log = random_history(chance, zone, 260)
    organization, *others = catalog_events(zone)
    chance.shuffle(others)
    await aggregator.learn(organization, *others[: len(others) // 2])
    cut = {partition: chance.randint(len(kept) // 3, len(kept) * 2 // 3) for partition, kept in log.items()}
    await aggregator.count(*(kept[: cut[partition]] for partition, kept in log.items()))
    made = {query: await make(api, query) for query in QUERIES}
    offsets = (await api.get(f"{MANIFESTS}/{made['range=all'][0]}"))["watermark"]["next_offsets"]
    assert offsets == {str(partition): number for partition, number in cut.items()}
    for export, before in made.values():
        manifest = await api.get(f"{MANIFESTS}/{export}")
        assert Decimal(manifest["credits"]) == total(before)
    for query, (export, before) in made.items():
        assert not any((await check(api, export, before, query)).values())
    ledger = await db.count("SELECT sum(credits)::bigint FROM usage_ledger WHERE NOT held")
    assert total(made["range=all"][1]) == Decimal(ledger).scaleb(-6)
    overview = await api.get("/api/v1/breakdown?product=api&view=namespaces&range=all")
    assert Decimal(overview["total"]) == total([line for line in made["range=all"][1] if line["product"] == "api"])

    await aggregator.count(*log.values())
    await aggregator.learn(*others[len(others) // 2 :])
    await aggregator.learn(*the_rate())
    while await aggregator.release():
        pass
    found = {query: await check(api, export, before, query) for query, (export, before) in made.items()}
    assert all(found["range=all"][cause] for cause in ("late", "corrected"))
    assert not any(causes["moved"] for causes in found.values())
    answer = await api.get(f"{MANIFESTS}/{made['range=all'][0]}/changes?limit=2000")
    assert any(change["cause"] == "recategorized" for change in answer["changes"])

    owner = await asyncpg.connect(database.dsn)
    await change_time_zone(owner, "org_acme", moved_to)
    await owner.close()
    before_move = dict(found)
    for query, (export, before) in made.items():
        causes = await check(api, export, before, query)
        if query == "range=all":
            assert causes["late"] == before_move[query]["late"] + before_move[query]["corrected"]
            answer = await api.get(f"{MANIFESTS}/{export}/changes?limit=2000")
            assert any(change["cause"] == "moved" for change in answer["changes"])
    assert (await check(api, *made["from=2026-10-25&to=2026-11-01"], "from=2026-10-25&to=2026-11-01"))["moved"] != 0


async def test_a_late_event_is_named_with_its_cause(api: Api, aggregator: Aggregator) -> None:
    await aggregator.learn(
        event("flexcredits.organization.v1", {"name": "Acme", "time_zone": "Asia/Kathmandu"}, subject="org_acme"),
        feature("Search", "2026-11-01"),
    )
    first = usage(envelope={"id": "first", "time": AT}, feature="search", credits="5", surface="web")
    waits = usage(
        envelope={"id": "waits", "time": AT}, feature="opus", feature_kind="model", unit="tokens", quantity="10", credits=None, surface="web"
    )  # fmt: skip
    await aggregator.count(records([first, waits]))
    query = "from=2026-11&to=2026-11"
    export, before = await make(api, query)
    assert [(line["feature"], line["credits"]) for line in before] == [("search", "5.000000")]
    late = usage(envelope={"id": "late", "time": "2026-11-03T20:00:00Z"}, feature="search", credits="0.000007", surface="web")  # fmt: skip
    outside = usage(envelope={"id": "outside", "time": "2026-12-01T20:00:00Z"}, feature="search", credits="9")
    await aggregator.count(records([late, correction(first, "-2", time="2026-11-12T00:00:00Z"), outside], first=2))
    await aggregator.learn(rate("3", "1", feature="opus", feature_kind="model"), feature("Find", "2026-11-02"))
    while await aggregator.release():
        pass
    causes = await check(api, export, before, query)
    assert causes == {
        "late": Decimal("30.000007"), "corrected": Decimal(-2), "recategorized": 0, "moved": 0, "re_rated": 0,
    }  # fmt: skip
    answer = await api.get(f"{MANIFESTS}/{export}/changes")
    named = [
        (change["cause"], change["day"], change["feature"], change["category"], change["credits"], change["events"])
        for change in answer["changes"]
    ]
    assert named == [
        ("late", "2026-11-10", "opus", None, "30.000000", 1),
        ("recategorized", "2026-11-10", "search", "Search", "-5.000000", -1),
        ("recategorized", "2026-11-10", "search", "Find", "5.000000", 1),
        ("corrected", "2026-11-12", "search", "Find", "-2.000000", 0),
        ("late", "2026-11-04", "search", "Find", "0.000007", 1),
    ]
    short = await api.get(f"{MANIFESTS}/{export}/changes?limit=2")
    assert short["changes"] == answer["changes"][:1]  # both sides of a new category, or none
    assert (short["left_out"], short["causes"]) == (4, answer["causes"])
    assert (await api.get(f"{MANIFESTS}/{export}/changes?limit=3"))["changes"] == answer["changes"][:3]
    numbers = {each["cause"]: each["changes"] for each in answer["causes"]}
    assert numbers == {"late": 2, "corrected": 1, "recategorized": 2, "moved": 0, "re_rated": 0}


def feature(category: str, on: str) -> dict[str, Any]:
    data = {
        "product": "assistant", "feature_kind": "tool", "feature": "search", "effective_from": "2026-01-01", "category": category,
    }  # fmt: skip
    return event("flexcredits.feature.v1", data, subject="org_acme", time=f"{on}T00:00:00Z")


async def test_prices_of_a_later_version_change_the_worth_and_no_credits(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01", credit_price=20_000, currency="USD")
    await db.use(acme, "api", "namespace", "search", "2026-10-31", 7_000_001)
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 3_000_000)
    export, before = await make(api, "from=2026-10&to=2026-11")
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 1_000_000)
    await db.execute("UPDATE contracts SET credit_price = 25000, currency = 'EUR'")
    causes = await check(api, export, before, "from=2026-10&to=2026-11")
    assert (causes["late"], causes["re_rated"]) == (1, 0)
    answer = await api.get(f"{MANIFESTS}/{export}/changes")
    assert answer["worth"] == [
        {"currency": "EUR", "before": "0.000000", "used": "0.025000", "re_rated": "0.250000025", "now": "0.275000025"},
        {"currency": "USD", "before": "0.20000002", "used": "0.000000", "re_rated": "-0.20000002", "now": "0.000000"},
    ]
    prices = {"before": {"currency": "USD", "credit": "0.020000"}, "now": {"currency": "EUR", "credit": "0.025000"}}
    assert answer["re_rated"] == [{"day": day, **prices} for day in ("2026-10-31", "2026-11-01")]


async def test_usage_in_months_and_series_that_the_file_did_not_have(api: Api, db: TableRows) -> None:
    """A file without lines, and one with a gap; more series today than lines are read at once."""
    acme = await db.organization()
    empty, nothing = await make(api, "from=2026-08&to=2026-12")
    for day in ("2026-08-01", "2026-11-05"):
        await db.use(acme, "api", "namespace", "search", day, 4)
    gap, before = await make(api, "from=2026-08&to=2026-12")
    await db.use(acme, "agents", "tool", "jira", "2026-09-15", 5, agent="a1")
    await db.use(acme, "agents", "tool", "jira", "2026-12-31", 6)
    await db.execute(
        "WITH new AS (INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
        " SELECT $1, 'api', 'namespace', 'n' || n, '', 'web' FROM generate_series(1, 9000) AS n RETURNING series_id)"
        " INSERT INTO usage_daily SELECT $1, '2026-11-02'::date + d, series_id, 1, 1 FROM new, generate_series(0, 3) AS d",
        acme,
    )
    for export, lines, late in ((empty, nothing, 36_019), (gap, before, 36_011)):
        answer = await api.get(f"{MANIFESTS}/{export}/changes?limit=3")
        assert Decimal(answer["difference"]) == Decimal(late).scaleb(-6)
        assert {each["cause"]: Decimal(each["credits"]) for each in answer["causes"]}["late"] == Decimal(late).scaleb(
            -6
        )
        assert Decimal(answer["credits_before"]) == total(lines)
        assert [change["credits"] for change in answer["changes"]][:2] == ["0.000006", "0.000005"]
        assert answer["left_out"] == 36_002 + (2 if not lines else 0) - 3


async def test_without_lines_there_are_no_causes(open_api: OpenApi, db: TableRows) -> None:
    acme = await db.organization()
    await db.organization("org_other")
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    async with open_api(export_limits=ExportLimits(file_bytes=1)) as api:
        export, _ = await make(api, "range=all")
        answer = await api.get(f"{MANIFESTS}/{export}/changes")
        assert (answer["compared"], answer["same_bytes"], "causes" in answer) == ("file", True, False)
        assert (await api.ask(f"{MANIFESTS}/{export}/changes", organization="org_other")).status_code == 404


async def test_days_of_another_zone_without_quarters_are_named_and_the_others_compared(
    api: Api, aggregator: Aggregator, database: Database, db: TableRows
) -> None:
    """London and UTC have the same days in winter."""
    await aggregator.learn(
        event("flexcredits.organization.v1", {"name": "Acme", "time_zone": "Europe/London"}, subject="org_acme")
    )
    acme = await db.count("SELECT organization_id FROM organizations WHERE organization = 'org_acme'")
    for day, credits in (("2025-01-10", 3), ("2025-07-01", 5), ("2025-07-31", 7)):
        await db.use(acme, "api", "namespace", "search", day, credits)
    late_evening = usage(envelope={"id": "one", "time": "2026-07-10T23:30:00Z"}, feature="search", credits="2")
    await aggregator.count(records([late_evening]))
    export, before = await make(api, "range=all")
    manifest = await api.get(f"{MANIFESTS}/{export}")
    owner = await asyncpg.connect(database.dsn)
    await change_time_zone(owner, "org_acme", "UTC")
    await owner.close()
    await db.use(acme, "api", "namespace", "search", "2025-01-11", 11)
    answer = await api.get(f"{MANIFESTS}/{export}/changes")
    lost = [(each["from"], each["to"], each["credits"], each["events"]) for each in answer["not_compared"]]
    assert lost == [("2025-03-30", "2025-08-13", "0.000012", 2)]  # summer time began on March 30
    assert Decimal(answer["credits_before"]) + Decimal("0.000012") == Decimal(manifest["credits"]) == total(before)
    causes = {each["cause"]: (Decimal(each["credits"]), each["changes"]) for each in answer["causes"]}
    assert causes["late"] == (Decimal("0.000011"), 1)
    assert causes["moved"] == (0, 2)
    assert sorted((each["day"], each["credits"]) for each in answer["changes"] if each["cause"] == "moved") == [
        ("2026-07-10", "2.000000"), ("2026-07-11", "-2.000000"),
    ]  # fmt: skip


FIRST = date(2026, 11, 1)
DAYS = Days(FIRST, FIRST + timedelta(days=3))
amounts = st.integers(-(10**17), 10**17)
cells = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(1, 3)), st.tuples(amounts, amounts, st.integers(0, 9)))
categories = st.lists(st.sampled_from([None, "A", "B"]), min_size=3, max_size=3)


def labels_of(names: list[str | None]) -> LabelIndex:
    rest = (None, "f", "f", None, None, None, None)
    return LabelIndex([Label(series, *DAYS, "api", "namespace", name, *rest) for series, name in enumerate(names, 1)])


def rows_of(found: dict[tuple[int, int], tuple[int, int, int]]) -> Rows:
    lines = [
        (day, series - 1, is_correction, credits, events)
        for (day, series), (usage, corrected, count) in sorted(found.items())
        for is_correction, credits, events in ((0, usage, count), (1, corrected, 0))
        if credits or events
    ]
    return Rows(*np.array(lines, np.int64).reshape(-1, 5).T)


@given(then=cells, now=cells, moved=st.none() | cells, before=categories, after=categories, most=st.integers(1, 50))
def test_parts_add_up_to_the_difference(
    then: dict[tuple[int, int], tuple[int, int, int]], now: dict[tuple[int, int], tuple[int, int, int]],
    moved: dict[tuple[int, int], tuple[int, int, int]] | None, before: list[str | None], after: list[str | None], most: int,
) -> None:  # fmt: skip
    old, new = (sums_of([(DAYS, labels_of(names), rows_of(found))]) for names, found in ((before, then), (after, now)))
    first = FIRST.toordinal()
    as_then = None
    if moved is not None:
        as_then = sums_of_days([(first + day, series, usage, count) for (day, series), (usage, _, count) in moved.items()])  # fmt: skip
    found = compare(old, new, as_then, labels_of(before), labels_of(after), most)
    assert found.then == tuple(map(sum, zip((0, 0), *((u + c, n) for u, c, n in then.values()), strict=True)))
    assert found.now == tuple(map(sum, zip((0, 0), *((u + c, n) for u, c, n in now.values()), strict=True)))
    for at in (0, 1):
        assert sum(part[at] for part in found.totals.values()) == found.now[at] - found.then[at]
    number = sum(found.numbers.values())
    assert min(most, number) <= len(found.largest) <= min(most + 1, number)
    shown = cut_pair(found.largest, most)
    assert len(shown) in (min(most, number), most - 1)
    pairs: dict[tuple[date, int], list[int]] = defaultdict(list)
    for each in shown:
        if each.cause == "recategorized":
            pairs[each.day, each.label.series_id].append(each.credits)
    assert all(len(sides) == 2 and sum(sides) == 0 for sides in pairs.values())
    whole = compare(old, new, as_then, labels_of(before), labels_of(after), number)
    assert (whole.numbers, len(whole.largest)) == (found.numbers, number)
    assert list(found.largest) == list(whole.largest)[: len(found.largest)]
    assert {day: each for day, each in found.by_day.items() if any(each)} == {
        FIRST + timedelta(days=day): DayCredits(*sums)
        for day in range(4)
        if any(sums := tuple(sum(u + c for (on, _), (u, c, _) in side.items() if on == day) for side in (then, now)))
    }
    if most >= number:
        expected: dict[str | None, int] = defaultdict(int)
        for names, side, sign in ((after, now, 1), (before, then, -1)):
            for (_, series), (used, corrected, _) in side.items():
                expected[names[series - 1]] += sign * (used + corrected)
        for each in found.largest:
            expected[each.category] -= each.credits
        assert not any(expected.values())
    halves = [Days(FIRST, FIRST), Days(FIRST + timedelta(days=1), DAYS.last)]
    assert [key for half in halves for key in cut_days(old, half).keys.tolist()] == old.keys.tolist()


prices = st.lists(st.tuples(st.sampled_from([None, "EUR", "USD"]), st.none() | st.integers(0, 10**6)), min_size=4, max_size=4)  # fmt: skip


@given(st.lists(st.tuples(amounts, amounts), min_size=4, max_size=4), prices, prices)
def test_worth_adds_up_in_each_currency(
    days: list[tuple[int, int]], then: list[tuple[str | None, int | None]], now: list[tuple[str | None, int | None]]
) -> None:
    at = [FIRST + timedelta(days=number) for number in range(4)]
    by_day = {day: DayCredits(*credits) for day, credits in zip(at, days, strict=True)}
    ranges = [[(Days(day, day), price) for day, price in zip(at, each, strict=True)] for each in (then, now)]
    found, _ = compare_worth(by_day, *ranges)
    for side, worth in ((0, then), (1, now)):
        expected: dict[str | None, int] = defaultdict(int)
        for credits, (currency, price) in zip(days, worth, strict=True):
            expected[currency] += credits[side] * (price or 0)
        for currency in {*expected, *found}:
            parts = found.get(currency)
            assert (0 if parts is None else (parts.before, parts.now)[side]) == expected[currency]
