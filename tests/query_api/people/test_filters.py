"""Breakdown, trend and table file of one actor, group or label have the totals of the view of people."""

import csv
import io
import re

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from query_api.attributions import hours
from support.clients.export_files import read_parquet
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.services.query_api import Api

NOVEMBER = "from=2026-11-01&to=2026-11-30"
AGENTS = f"product=agents&view=agents&{NOVEMBER}"


def micro(text: str) -> int:
    return int(text.replace(".", ""))


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    rows = PeopleRows(db, await db.organization())
    await db.execute("SELECT ensure_rollup_partition('2026-10-01'), ensure_rollup_partition('2026-11-01')")
    await rows.configure(label_keys=["project"])
    await rows.group("sales")
    await rows.group("sales/emea", parent="sales")
    await rows.member("ada", "2026-11-01", "sales/emea")
    await rows.member("ada", "2026-11-10", "rnd")
    await rows.use("ada", "2026-10-31", 40, agent="a1")
    await rows.use("ada", "2026-11-05", 10, agent="a1")
    await rows.use("ada", "2026-11-15", 20, agent="a1", labels={"project": "apollo"})
    await rows.use("bob", "2026-11-15", 7, agent="a2", group="sales", surface="slack")
    await rows.use("bob", "2026-11-16", 3, agent="a1", product="api")
    await rows.use("", "2026-11-15", 100, agent="a1")
    await db.feature(rows.organization, "agents", "tool", "search", "2026-11-12", "Category")
    return rows


@pytest.mark.parametrize(
    ("who", "agents", "products"),
    [
        ("actor=ada", {"a1": 30}, [0, 30, 0]),
        ("actor=bob", {"a2": 7}, [0, 7, 3]),
        ("group=sales", {"a1": 10, "a2": 7}, [0, 17, 0]),
        ("group=sales&membership=now", {"a2": 7}, [0, 7, 0]),
        ("group=rnd&membership=now", {"a1": 30}, [0, 30, 0]),
        ("label=project:apollo", {"a1": 20}, [0, 20, 0]),
        ("actor=bob&surface=web", {}, [0, 0, 3]),
        ("actor=unknown", {}, [0, 0, 0]),
    ],
)
async def test_tables_and_charts_of_one(
    api: Api, acme: PeopleRows, who: str, agents: dict[str, int], products: list[int]
) -> None:
    breakdown = await api.get(f"/api/v1/breakdown?{AGENTS}&{who}")
    assert {row["id"]: micro(row["credits"]) for row in breakdown["rows"] if micro(row["credits"])} == agents
    assert [micro(share["credits"]) for share in breakdown["product_shares"]] == products
    by_category = await api.get(f"/api/v1/breakdown?product=agents&view=features&{NOVEMBER}&{who}")
    assert by_category["total"] == breakdown["total"]
    assert sum(micro(row["credits"]) for row in by_category["rows"]) == micro(breakdown["total"])
    for group_by in ("product", "category", "feature", "agent", "surface"):
        for interval in ("day", "week", "month"):
            trend = await api.get(
                f"/api/v1/trend?product=agents&group_by={group_by}&interval={interval}&{NOVEMBER}&{who}"
            )
            assert trend["total"] == breakdown["total"]
            assert sum(micro(bucket["total"]) for bucket in trend["buckets"]) == micro(breakdown["total"])
    table = list(csv.DictReader(io.StringIO((await api.ask(f"/api/v1/export/table.csv?{AGENTS}&{who}")).text)))
    assert sum(micro(line["credits"]) for line in table if line["is_leaf"] == "true") == micro(breakdown["total"])
    answer = await api.ask(f"/api/v1/export/usage.csv?product=agents&{NOVEMBER}&{who}")
    assert sum(micro(line["credits"]) for line in csv.DictReader(io.StringIO(answer.text))) == micro(breakdown["total"])
    for file, leaves_only in (("table.parquet?view=agents&", True), ("usage.parquet?", False)):
        typed = (await read_parquet(api, f"/api/v1/export/{file}product=agents&{NOVEMBER}&{who}")).to_pylist()
        credits = sum(line["credits"] for line in typed if line.get("is_leaf", True) or not leaves_only)
        assert int(credits * 1_000_000) == micro(breakdown["total"]), file
    for group_by in ("product", "category", "feature", "agent", "surface"):
        by_hour = await api.get(f"/api/v1/trend?product=agents&group_by={group_by}&interval=hour&{NOVEMBER}&{who}")
        assert by_hour["total"] == breakdown["total"]
        assert {bucket["start_at"][11:16] for bucket in by_hour["buckets"] if bucket["events"]} <= {"12:00"}
    people = await api.get(f"/api/v1/usage/people?product=agents&{NOVEMBER}&{who}")
    assert people["total"] == breakdown["total"]
    for agent in agents:
        await acme.db.agent(acme.organization, agent, "deleted", agent)
    await acme.db.execute("UPDATE agents SET event_offset = 100")
    deleted = await api.get(f"/api/v1/deleted-agents?{NOVEMBER}&{who}")
    assert {agent["id"]: micro(agent["credits"]) for agent in deleted["agents"]} == agents
    assert deleted["total"] == breakdown["total"]


async def test_a_change_is_of_the_same_actor(api: Api, acme: PeopleRows) -> None:
    breakdown = await api.get("/api/v1/breakdown?product=agents&view=agents&from=2026-10&to=2026-10&actor=ada")
    assert breakdown["total"] == "0.000040"


@pytest.mark.parametrize(
    "path",
    [
        "breakdown?product=agents&view=agents",
        "trend?",
        "deleted-agents?",
        "export/table.csv?product=agents&view=agents",
    ],
)
async def test_a_label_that_is_not_declared_is_refused(api: Api, acme: PeopleRows, path: str) -> None:
    assert (await api.ask(f"/api/v1/{path}&label=secret:x")).status_code == 422


DAY = "/api/v1/trend?from=2026-11-15&to=2026-11-15"


async def test_hours_of_an_actor_are_refused_unless_the_ledger_has_all_events_of_the_days(
    api: Api, acme: PeopleRows
) -> None:
    await acme.use("ada", "2026-11-15", 5, events=2)  # not in the ledger
    answer = await api.ask(f"{DAY}&interval=hour&actor=ada")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "interval")
    assert "not kept" in answer.text
    assert (await api.get(f"{DAY}&interval=hour&actor=unknown"))["total"] == "0.000000"
    assert (await api.get(f"{DAY}&actor=ada"))["interval"] == "day"


async def test_hours_have_events_whose_ids_are_old_new_or_without_a_day(api: Api, acme: PeopleRows) -> None:
    """They are in other partitions of the ledger."""
    november_15 = 20_772
    buckets = (-3, november_15 - 1, november_15, november_15 + 1, november_15 - 40, november_15 + 4)
    for bucket in buckets:
        await acme.db.execute("SELECT ensure_ledger_partition($1)", bucket)
    for number, bucket in enumerate(buckets):
        await acme.use("eve", "2026-11-15", 10**number, at=f"0{number}:00", bucket=bucket)
        trend = await api.get(f"{DAY}&interval=hour&actor=eve")
        assert [micro(hour["total"]) for hour in trend["buckets"][: number + 1]] == [10**at for at in range(number + 1)]
        assert micro(trend["total"]) == int("1" * (number + 1))


async def test_hours_have_corrections_of_other_days_that_cancel_each_other(api: Api, acme: PeopleRows) -> None:
    """Without them, the hours would have the day's credits and uses, too."""
    november_15 = 20_772
    for bucket in (november_15, november_15 + 4):
        await acme.db.execute("SELECT ensure_ledger_partition($1)", bucket)
    for at in ("03:00", "05:00"):
        await acme.use("eve", "2026-11-15", 100, at=at, bucket=november_15)
    for at, credits in (("03:00", -30), ("05:00", 30)):
        await acme.use("eve", "2026-11-15", credits, at=at, bucket=november_15 + 4, events=0)
    await acme.db.execute(
        "INSERT INTO usage_corrections SELECT $1, '2026-11-15', max(series_id), 0, 2 FROM usage_series",
        acme.organization,
    )
    trend = await api.get(f"{DAY}&interval=hour&actor=eve")
    of_hours = {bucket["start_at"][11:13]: micro(bucket["total"]) for bucket in trend["buckets"] if bucket["events"]}
    assert of_hours == {"03": 70, "05": 130}


async def test_hours_of_too_many_events_are_refused(api: Api, acme: PeopleRows) -> None:
    await acme.use("eve", "2026-11-15", 1, events=200_001)
    answer = await api.ask(f"{DAY}&interval=hour&actor=eve")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "interval")
    assert "200,000" in answer.text


async def test_hours_of_a_large_ledger_need_an_index(
    api: Api, acme: PeopleRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "BYTES_MAX", 0)
    answer = await api.ask(f"{DAY}&interval=hour&actor=ada")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "interval")
    assert "operator can build an index" in answer.text
    described = re.search("CREATE INDEX usage_ledger_of_people[^;]*", (REPOSITORY / "docs/people.md").read_text())
    assert described is not None
    await acme.db.execute(described[0])
    assert (await api.get(f"{DAY}&interval=hour&actor=ada"))["total"] == "0.000020"


async def test_the_tag_of_a_breakdown_changes_when_a_person_moves(api: Api, acme: PeopleRows) -> None:
    path = f"/api/v1/breakdown?{AGENTS}&group=rnd&membership=now"
    before = (await api.ask(path)).headers["etag"]
    assert (await api.ask(path)).headers["etag"] == before
    await acme.db.execute(
        "INSERT INTO actor_groups VALUES ($1, 'ada', '2026-11-20', '{sales}', now(), 9)", acme.organization
    )
    after = await api.ask(path)
    assert after.headers["etag"] != before
    assert after.json()["total"] == "0.000000"
