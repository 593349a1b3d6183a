"""Usage beyond the aggregator's limit of new features, agents and surfaces: every answer adds up, names it Other, and shows no id."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from flexcredits_schemas.identity import OTHER
from query_api.usage.breakdown.domain.tree import ViewTree
from query_api.usage.domain.catalog import FEATURE_KINDS, Feature, Features, View
from query_api.usage.domain.series import Series
from query_api.usage.trend.domain.lines import OTHER_GROUPS, Cell, Group, draw_lines
from support.clients.export_files import read_csv
from support.data.factories import organization, rate, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator
from support.services.query_api import Api

TIME = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
PRODUCTS = (("assistant", "tool"), ("assistant", "feature"), ("agents", "model"), ("api", "namespace"))
EACH = 7


def used(product: str, kind: str, number: int, **more: Any) -> dict[str, Any]:
    named = {"product": product, "feature_kind": kind, "feature": f"f{number}", "surface": f"s{number}"}
    if product == "agents" or number % 2:
        named |= {"agent": {"id": f"a{number}", "kind": "saved", "name": f"Agent {number}"}} if product != "api" else {}
    return usage(envelope={"time": rfc3339(TIME)}, **named, actor={"id": "ana"}, run={"id": "r1"}, credits="1", **more)


EVENTS = [used(product, kind, number) for number in range(EACH) for product, kind in PRODUCTS]
HELD = used("assistant", "model", 99) | {"id": "held"}
del HELD["data"]["credits"]
HELD["data"] |= {"quantity": "1", "unit": "tokens"}


@pytest.fixture
async def folded(database: Database) -> AsyncIterator[Aggregator]:
    """An organization with a limit of two new series."""
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=2) as pool:
        here = Aggregator(pool)
        here.catalog.series_per_month = 2
        await here.learn(organization(), rate(feature="other", unit="tokens"))
        await here.count(records([*EVENTS, HELD]))
        yield here


def flatten(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for row in rows for each in (row, *flatten(row["rows"]))]


async def test_tables_and_charts_add_up_and_name_them_other(api: Api, folded: Aggregator) -> None:
    for product, view in FEATURE_KINDS:
        for grouping in ("", "&group_by=surface"):
            path = f"/api/v1/breakdown?range=all&product={product}&view={view}{grouping}"
            table = await api.get(path)
            rows = flatten(table["rows"])
            assert OTHER not in str(table), path
            assert sum(Decimal(row["credits"]) for row in table["rows"]) == Decimal(table["total"])
            kinds = {(row["kind"], row["id"], row["name"]) for row in rows if row["name"] == "Other"}
            assert kinds == ({("other", "other", "Other")} if Decimal(table["total"]) else set()), path
    for grouping in ("category", "feature", "agent", "surface"):
        trend = await api.get(f"/api/v1/trend?range=all&group_by={grouping}&top=3")
        assert OTHER not in str(trend)
        assert Decimal(trend["total"]) == len(EVENTS)
        assert [line["key"] for line in trend["series"]].count("other") == 1


async def test_files_have_no_id_for_them(api: Api, folded: Aggregator) -> None:
    for path in ("usage.csv", "people.csv", "focus.csv", "focus.csv?split=people"):
        answer = await api.ask(f"/api/v1/export/{path}{'&' if '?' in path else '?'}range=all")
        assert answer.status_code == 200, (path, answer.text)
        assert OTHER not in answer.text
    lines = read_csv((await api.ask("/api/v1/export/usage.csv?range=all")).text)
    assert sum(Decimal(line["credits"]) for line in lines) == len(EVENTS)
    others = [line for line in lines if line["feature_name"] == "Other"]
    assert others
    assert all(line["feature"] == "" for line in others)
    assert {line["agent_name"] for line in others} <= {"Other", ""}
    focus = read_csv((await api.ask("/api/v1/export/focus.csv?range=all")).text)
    named = [line for line in focus if line["ChargeDescription"].endswith(": Other")]
    assert named
    assert all(line["ResourceId"] == line["ResourceName"] == line["ResourceType"] == "" for line in named)


async def test_receipts_runs_and_my_usage_show_no_id(api: Api, folded: Aggregator) -> None:
    paths = [
        "/api/v1/usage/runs?range=all",
        "/api/v1/usage/runs/r1",
        "/api/v1/me/usage?range=all",
        "/api/v1/usage/people?by=person&range=all",
        f"/api/v1/explain?from={TIME:%Y-%m}&to={TIME:%Y-%m}&before_from=2026-08&before_to=2026-08&limit=100",
    ]
    for path in paths:
        answer = await api.get(path, sub="ana")
        assert OTHER not in str(answer), path
    receipts = [await api.get(f"/api/v1/receipt?source={quote(at['source'])}&id={at['id']}") for at in EVENTS]
    assert OTHER not in str(receipts)
    beyond = [receipt["is_beyond_limit"] for receipt in receipts]
    kept = [(receipt["feature"], receipt["agent"], receipt["surface"]) for receipt in receipts]
    sent = [
        (event["data"]["feature"], event["data"].get("agent", {}).get("id"), event["data"]["surface"])
        for event in EVENTS
    ]
    assert beyond == [one != other for one, other in zip(kept, sent, strict=True)]
    assert any(beyond)
    held = await api.get(f"/api/v1/receipt?source={quote(HELD['source'])}&id=held")
    assert (held["state"], held["waits_for"], held["feature"], held["is_beyond_limit"]) == ("held", "rate", "f99", True)


async def test_the_surfaces_to_choose_from_have_no_other(api: Api, folded: Aggregator) -> None:
    table = await api.get("/api/v1/breakdown?range=all&product=assistant&view=tools")
    assert OTHER not in table["surfaces"]


@pytest.mark.parametrize("view", ["models", "other_features", "agents", "features"])
def test_a_row_that_stands_for_others_is_in_its_place(view: View) -> None:
    day = TIME.date()
    tree = ViewTree(view, Features([], day), {})
    leaves = [
        tree.leaf(Series(Feature("feature", feature), agent, "", "agents"), day)
        for feature, agent in ((OTHER, OTHER), (OTHER, ""), ("f", OTHER))
    ]
    own = [tree._steps[leaf][2] for leaf in leaves]
    if view == "agents":
        assert own == ["Other", "Unsaved workflows", "Other"]
    else:
        assert own[:2] == ["Other", "Other"]
        assert own[2] == ("Other" if view != "models" else "f")


def test_the_line_of_others_is_one_and_last() -> None:
    cells = [Cell(0, OTHER_GROUPS, 100, 1), *(Cell(0, Group("agent", name, name), 1, 1) for name in "abc")]
    assert [line.group.key for line in draw_lines(cells, 1, 10)] == ["a", "b", "c", "other"]
    lines = draw_lines(cells, 1, 2)
    assert [line.group.key for line in lines] == ["a", "b", "other"]
    assert lines[-1].credits == [101]
