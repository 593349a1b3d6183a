"""The breakdown by surface, with change, product shares and pages, and the content of "Deleted agents"."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.usage.breakdown.domain.cursor import (
    InvalidPosition,
    RowPosition,
    cut_page,
    read_position,
    write_position,
)
from query_api.usage.breakdown.domain.rows import Row, in_order
from support.data.table_rows import TableRows, local
from support.services.query_api import Api


def micro(text: str) -> int:
    return int(text.replace(".", ""))


def lines(rows: list[dict[str, Any]]) -> list[Any]:
    """Id, credits, previous, change and nested rows, in a short form to compare."""
    return [
        (row["id"], micro(row["credits"]), row["previous"] and micro(row["previous"]), row["change"], *([lines(row["rows"])] if row["rows"] else []))
        for row in rows
    ]  # fmt: skip


async def furnish(db: TableRows) -> int:
    """Tools in two months on three surfaces, and some usage of the other products."""
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-10-01", "2026-11-01", total=10)
    await db.period(acme, "c1", "p2", "2026-11-01", "2026-12-01", total=10)
    for day, tool, surface, credits in (
        ("2026-10-31", "jira", "web", 4),
        ("2026-10-31", "gone", "slack", 3),
        ("2026-11-01", "jira", "web", 5),
        ("2026-11-02", "jira", "slack", 1),
        ("2026-11-02", "new", "", 2),
    ):
        await db.use(acme, "assistant", "tool", tool, day, credits, surface=surface)
    await db.use(acme, "assistant", "model", "opus", "2026-11-02", 2, surface="sdk")
    await db.use(acme, "agents", "tool", "jira", "2026-11-02", 20, agent="a1", surface="slack")
    await db.use(acme, "api", "namespace", "search", "2026-11-02", 10, surface="")
    return acme


TOOLS = "/api/v1/breakdown?product=assistant&view=tools"
NOVEMBER = [("jira", 6, 4, "0.500000"), ("new", 2, 0, None), ("gone", 0, 3, "-1.000000")]
LAST_OF_NOVEMBER = local("UTC", "2026-11-30")


@pytest.mark.parametrize(
    ("query", "previous", "rows"),
    [
        ("from=2026-11&to=2026-11", ("2026-10-01", "2026-10-31"), NOVEMBER),
        ("credit_period=p2", ("2026-10-01", "2026-10-31"), NOVEMBER),
        ("", ("2026-10-01", "2026-10-31"), NOVEMBER),
        ("from=2026-11-02&to=2026-11-02", ("2026-11-01", "2026-11-01"), [("new", 2, 0, None), ("jira", 1, 5, "-0.800000")]),
        ("from=2026-10&to=2026-11", ("2026-08-01", "2026-09-30"), [("jira", 10, 0, None), ("gone", 3, 0, None), ("new", 2, 0, None)]),
        ("credit_period=p1", None, [("jira", 4, None, None), ("gone", 3, None, None)]),
        ("range=all", None, [("jira", 10, None, None), ("gone", 3, None, None), ("new", 2, None, None)]),
    ],
)  # fmt: skip
async def test_change_against_the_range_before(
    api: Api, db: TableRows, query: str, previous: tuple[str, str] | None, rows: list[Any]
) -> None:
    await furnish(db)
    api.now = LAST_OF_NOVEMBER
    breakdown = await api.get(f"{TOOLS}&{query}")
    assert breakdown["previous_range"] == (previous and {"from": previous[0], "to": previous[1]})
    assert lines(breakdown["rows"]) == rows
    assert micro(breakdown["total"]) == sum(row[1] for row in rows)
    if previous:
        assert micro(breakdown["previous"]) == sum(row[2] for row in rows)
    else:
        assert (breakdown["previous"], breakdown["change"]) == (None, None)


async def test_the_totals_change(api: Api, db: TableRows) -> None:
    await furnish(db)
    api.now = LAST_OF_NOVEMBER
    breakdown = await api.get(f"{TOOLS}&from=2026-11&to=2026-11")
    assert (breakdown["total"], breakdown["previous"], breakdown["change"]) == ("0.000008", "0.000007", "0.142857")


async def test_without_a_current_credit_period_this_month_is_compared_with_the_last(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "assistant", "tool", "jira", "2026-10-22", 4)
    await db.use(acme, "assistant", "tool", "jira", "2026-10-23", 1)
    breakdown = await api.get(TOOLS)
    assert breakdown["previous_range"] == {"from": "2026-10-01", "to": "2026-10-22"}
    assert lines(breakdown["rows"]) == [("jira", 0, 4, "-1.000000")]


async def test_surface_is_a_filter(api: Api, db: TableRows) -> None:
    await furnish(db)
    api.now = LAST_OF_NOVEMBER
    for surfaces, rows in (
        ("surface=web", [("jira", 5, 4, "0.250000")]),
        ("surface=slack", [("jira", 1, 0, None), ("gone", 0, 3, "-1.000000")]),
        ("surface=", [("new", 2, 0, None)]),
        ("surface=slack&surface=web", [("jira", 6, 4, "0.500000"), ("gone", 0, 3, "-1.000000")]),
        ("surface=sdk", []),
    ):
        breakdown = await api.get(f"{TOOLS}&from=2026-11&to=2026-11&{surfaces}")
        assert lines(breakdown["rows"]) == rows, surfaces
        assert breakdown["surfaces"] == ["", "slack", "web"]  # not the surfaces of other views


async def test_surfaces_are_rows_that_expand_into_the_view(api: Api, db: TableRows) -> None:
    await furnish(db)
    api.now = LAST_OF_NOVEMBER
    breakdown = await api.get(f"{TOOLS}&from=2026-11&to=2026-11&group_by=surface")
    assert {row["kind"] for row in breakdown["rows"]} == {"surface"}
    assert [row["name"] for row in breakdown["rows"]] == ["web", "No surface", "slack"]
    assert lines(breakdown["rows"]) == [
        ("web", 5, 4, "0.250000", [("jira", 5, 4, "0.250000")]),
        ("", 2, 0, None, [("new", 2, 0, None)]),
        ("slack", 1, 3, "-0.666667", [("jira", 1, 0, None), ("gone", 0, 3, "-1.000000")]),
    ]


async def test_categories_are_those_of_then_or_of_now(api: Api, db: TableRows) -> None:
    acme = await furnish(db)
    api.now = LAST_OF_NOVEMBER
    await db.feature(acme, "assistant", "tool", "jira", "2026-01-01", "Old")
    await db.feature(acme, "assistant", "tool", "jira", "2026-11-02", "New")
    await db.feature(acme, "assistant", "tool", "jira", "2026-12-01", "Not yet")
    query = f"{TOOLS}&from=2026-11&to=2026-11"
    assert (await api.get(query))["categories"] == "then"
    assert lines((await api.get(query))["rows"]) == [
        ("Old", 5, 4, "0.250000", [("jira", 5, 4, "0.250000")]),
        ("new", 2, 0, None),
        ("New", 1, 0, None, [("jira", 1, 0, None)]),
        ("gone", 0, 3, "-1.000000"),
    ]
    assert lines((await api.get(query + "&categories=now"))["rows"]) == [
        ("New", 6, 4, "0.500000", [("jira", 6, 4, "0.500000")]),
        ("new", 2, 0, None),
        ("gone", 0, 3, "-1.000000"),
    ]


async def test_what_each_product_contributed(api: Api, db: TableRows) -> None:
    await furnish(db)
    for path in ("product=api&view=namespaces", "product=assistant&view=models"):
        breakdown = await api.get(f"/api/v1/breakdown?{path}&from=2026-11&to=2026-11")
        assert breakdown["product_shares"] == [
            {"product": "assistant", "credits": "0.000010", "share": "0.250000"},
            {"product": "agents", "credits": "0.000020", "share": "0.500000"},
            {"product": "api", "credits": "0.000010", "share": "0.250000"},
        ]
    of_slack = await api.get("/api/v1/breakdown?product=api&view=namespaces&from=2026-11&to=2026-11&surface=slack")
    assert [(one["product"], one["credits"], one["share"]) for one in of_slack["product_shares"]] == [
        ("assistant", "0.000001", "0.047619"), ("agents", "0.000020", "0.952381"), ("api", "0.000000", "0.000000"),
    ]  # fmt: skip
    nothing = await api.get("/api/v1/breakdown?product=api&view=namespaces&from=2020-01&to=2020-01")
    assert {(one["credits"], one["share"]) for one in nothing["product_shares"]} == {("0.000000", "0.000000")}


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
rows = st.lists(
    st.builds(Row, st.sampled_from(["tool", "category", "agent"]), names, names, st.integers(-3, 3), st.just(0), st.just(0)),
    max_size=15,
    unique_by=in_order,
)  # fmt: skip


@given(rows, st.integers(1, 6))
def test_pages_hold_every_row_once(rows: list[Row], limit: int) -> None:
    rows.sort(key=in_order)
    found: list[Row] = []
    after = None
    for _ in range(len(rows) // limit + 1):
        page, place, moved = cut_page(rows, after, limit, in_order)
        assert not moved
        found += page
        if place is None:
            break
        assert len(page) == limit
        after = read_position(write_position(place))
    assert found == rows
    assert place is None
    assert cut_page(rows, None, None, in_order) == (rows, None, False)


@given(st.builds(RowPosition, st.integers(), names, names, names, names))
def test_a_place_is_read_as_it_was_written(place: RowPosition) -> None:
    assert read_position(write_position(place)) == place


@given(st.text())
def test_any_other_text_is_no_place(text: str) -> None:
    with suppress(InvalidPosition):
        assert write_position(read_position(text)) == text


async def test_pages_add_up_to_the_total_and_each_shows_the_whole_ranges_figures(api: Api, db: TableRows) -> None:
    acme = await furnish(db)
    for n in range(23):
        await db.use(acme, "assistant", "tool", f"t{n}", "2026-11-03", n % 4)
        await db.use(acme, "assistant", "tool", f"t{n + 9}", "2026-10-03", 1)
    query = f"{TOOLS}&from=2026-11&to=2026-11"
    whole = await api.get(query)
    assert whole["next"] is None
    for limit in (1, 7, 35, 36, 1000):
        rows: list[Any] = []
        path = f"{query}&limit={limit}"
        while True:
            page = await api.get(path)
            assert {**page, "rows": [], "next": None} == {**whole, "rows": []}
            assert not page["moved"]
            rows += page["rows"]
            if page["next"] is None:
                break
            assert len(page["rows"]) == limit
            path = f"{query}&limit={limit}&after={page['next']}"
        assert rows == whole["rows"]
        assert sum(micro(row["credits"]) for row in rows) == micro(whole["total"])


async def test_no_row_vanishes_between_two_pages_while_usage_flows(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for n in range(9):
        await db.use(acme, "assistant", "tool", f"t{n}", "2026-11-03", 10 * (9 - n))
    path = f"{TOOLS}&from=2026-11&to=2026-11&limit=3"
    first = await api.get(path)
    assert ids(first) == ["t0", "t1", "t2"]
    # The order of rows on earlier pages does not matter.
    await db.use(acme, "assistant", "tool", "t1", "2026-11-03", 15)
    second = await api.get(f"{path}&after={first['next']}")
    assert (ids(second), second["moved"]) == (["t3", "t4", "t5"], False)
    await db.use(acme, "assistant", "tool", "t7", "2026-11-03", 100)  # moves from the third page to the first
    again = await api.get(f"{path}&after={second['next']}")
    assert (ids(again), again["moved"]) == (["t7", "t1", "t0"], True)
    seen, moved = ids(again), again["moved"]
    while again["next"]:
        again = await api.get(f"{path}&after={again['next']}")
        assert not again["moved"]
        seen += ids(again)
    assert moved
    assert sorted(seen) == [f"t{n}" for n in range(9)]
    # A row that moves behind the cursor would appear twice. A cursor of another query does not know this query's rows.
    await db.correct(acme, "assistant", "tool", "t0", "2026-11-03", -89)
    assert (await api.get(f"{path}&after={first['next']}"))["moved"]
    assert (await api.get(f"{path}&surface=web&after={second['next']}"))["moved"]


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["rows"]]


@given(rows, rows, st.integers(1, 6))
def test_a_page_after_any_other_rows_goes_on_or_begins_again(before: list[Row], now: list[Row], limit: int) -> None:
    before.sort(key=in_order)
    now.sort(key=in_order)
    page, place, _ = cut_page(before, None, limit, in_order)
    if place is None:
        return
    following, _, moved = cut_page(now, place, None, in_order)
    sent = {(row.kind, row.id) for row in page}
    if moved:
        assert following == now
    else:
        assert {(row.kind, row.id) for row in now} <= sent | {(row.kind, row.id) for row in following}


async def test_surfaces_of_refused_and_held_events_are_not_offered(api: Api, db: TableRows) -> None:
    acme = await furnish(db)
    await db.series(acme, "assistant", "tool", "jira", surface="refused")
    await db.series(acme, "assistant", "tool", "only-held", surface="held")
    assert (await api.get(f"{TOOLS}&from=2020-01&to=2020-01"))["surfaces"] == ["", "slack", "web"]


@pytest.mark.parametrize(
    ("query", "previous"),
    [
        ("from=2026-11&to=2026-11", ("2026-10-01", "2026-10-22")),
        ("from=2026-09&to=2026-12", ("2026-05-01", "2026-07-22")),
        ("from=2026-11-21&to=2026-11-30", ("2026-11-11", "2026-11-12")),
        ("from=2026-11-21&to=2026-11-22", ("2026-11-19", "2026-11-20")),
        ("credit_period=current", ("2026-10-01", "2026-10-22")),
        ("", ("2026-10-01", "2026-10-22")),
        ("from=2026-10&to=2026-10", ("2026-09-01", "2026-09-30")),
        ("from=2026-12&to=2026-12", ("2026-11-01", "2026-11-30")),
    ],
)
async def test_a_running_range_is_compared_with_as_many_days(
    api: Api, db: TableRows, query: str, previous: tuple[str, str]
) -> None:
    acme = await furnish(db)
    await db.use(acme, "assistant", "tool", "jira", "2026-10-22", 5)
    await db.use(acme, "assistant", "tool", "jira", "2026-10-23", 7)
    breakdown = await api.get(f"{TOOLS}&{query}")
    assert breakdown["previous_range"] == {"from": previous[0], "to": previous[1]}
    if previous == ("2026-10-01", "2026-10-22"):
        assert (micro(breakdown["previous"]), breakdown["change"]) == (5, "0.600000")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("after=x", "after"), ("after=", "after"), ("after=W10", "after"), ("after=WzEsImEiLCJiIiwiYyJd", "after"),
        ("limit=0", "limit"), ("limit=1001", "limit"), ("group_by=product", "group_by"), ("categories=later", "categories"),
    ],
)  # fmt: skip
async def test_a_parameter_that_is_not_valid_is_named(api: Api, db: TableRows, query: str, parameter: str) -> None:
    await db.organization()
    answer = await api.ask(f"{TOOLS}&{query}")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]


async def test_deleted_agents_are_listed_inside_their_row(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for agent, state, name in (("d1", "deleted", "Gone"), ("d2", "deleted", "Gone too"), ("a1", "saved", "Here"), ("d3", "deleted", "Unused")):  # fmt: skip
        await db.agent(acme, agent, state, name)
    await db.execute("UPDATE agents SET event_at = $1", local("UTC", "2026-11-20"))
    for day, agent, surface, credits in (
        ("2026-10-31", "d1", "web", 100), ("2026-11-01", "d1", "web", 1), ("2026-11-21", "d2", "slack", 3), ("2026-11-21", "a1", "web", 9),
    ):  # fmt: skip
        await db.use(acme, "agents", "tool", "jira", day, credits, agent=agent, surface=surface)
    deleted = await api.get("/api/v1/deleted-agents?from=2026-11&to=2026-11")
    assert (deleted["range"], deleted["total"], deleted["events"]) == ({"from": "2026-11-01", "to": "2026-11-30"}, "0.000004", 2)  # fmt: skip
    at = "2026-11-20T00:00:00Z"
    assert deleted["agents"] == [
        {"id": "d2", "name": "Gone too", "deleted_at": at, "credits": "0.000003", "events": 1, "share": "0.750000"},
        {"id": "d1", "name": "Gone", "deleted_at": at, "credits": "0.000001", "events": 1, "share": "0.250000"},
    ]
    for query in ("from=2026-11&to=2026-11", "range=all", "range=all&surface=web", "from=2020-01&to=2020-01"):
        deleted = await api.get(f"/api/v1/deleted-agents?{query}")
        breakdown = await api.get(f"/api/v1/breakdown?product=agents&view=agents&{query}")
        row = next((row for row in breakdown["rows"] if row["kind"] == "deleted"), {"credits": "0.000000", "events": 0})
        assert (deleted["total"], deleted["events"]) == (row["credits"], row["events"]), query
        assert sum(micro(agent["credits"]) for agent in deleted["agents"]) == micro(deleted["total"])
