"""Files by who used it: their sums are those of the other files, and they show people as the organization does."""

from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_api.db.statements import SQL
from query_api.exports.domain.cells import CellPatterns, guard, guard_id
from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.domain.labels import Label
from query_api.exports.focus.cost_and_usage import SPLIT_COLUMNS
from query_api.exports.people.routes import PEOPLE_COLUMNS
from query_api.exports.who import WhoFilter
from runtime.postgres.pool import Pool
from support.clients.export_files import read_file, special, total
from support.data.people_rows import actor, attribution, group, show, use_by
from support.data.people_usage import PeopleRows
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

PEOPLE, USAGE = "/api/v1/export/people.csv", "/api/v1/export/usage.csv"
NOVEMBER = "?from=2026-11&to=2026-11"


async def test_every_column_of_a_line(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    await db.feature(acme, "agents", "tool", "jira_search", "2026-01-01", "Connectors", "Jira search")
    await db.feature(acme, "agents", "tool", "jira_search", "2026-11-10", "Work apps")
    await db.agent(acme, "agt_42", "saved", "Quarterly report")
    await group(db, acme, "ops", "Operations")
    await actor(db, acme, "u-1", "Ada Lovelace", groups={"2026-01-01": ["web"], "2026-11-01": ["ops", "web"]})
    await show(db, acme, "named", label_keys=["project", "cost"])
    ada = await attribution(db, acme, "u-1", labels={"project": "apollo", "cost": "7", "hidden": "x"})
    of_series = ("agents", "tool", "jira_search", "2026-11-01")
    await use_by(db, acme, ada, *of_series, 1_250_000, agent="agt_42", surface="slack", events=3)
    await db.use(acme, *of_series, 500_000, agent="agt_42", surface="slack", events=1)
    lines = await read_file(api, PEOPLE + NOVEMBER)
    line = {
        "date": "2026-11-01", "actor_kind": "user", "actor_id": "u-1", "actor_name": "Ada Lovelace", "group_id": "ops",
        "group_name": "Operations", "labels": '{"cost": "7", "project": "apollo"}', "product": "agents", "kind": "tool",
        "category": "Connectors", "category_now": "Work apps", "feature": "jira_search", "feature_name": "Jira search", "agent_id": "agt_42",
        "agent_name": "Quarterly report", "agent_status": "agent", "surface": "slack", "credits": "1.250000", "events": "3",
        "organization_id": "org_acme", "time_zone": "Asia/Kathmandu",
    }  # fmt: skip
    rest = {
        "actor_kind": "unattributed",
        "actor_id": "",
        "actor_name": "Unattributed",
        "group_id": "",
        "group_name": "",
        "labels": "",
    }
    assert list(lines[0]) == list(PEOPLE_COLUMNS)
    assert lines == [line | rest | {"credits": "0.500000", "events": "1"}, line]


async def fill(db: TableRows, seed: int) -> int:
    """A year with every special case, a part of it by people, service accounts, groups and labels."""
    acme, random = await special(db, "Asia/Kathmandu", "org_acme"), Random(seed)
    for number in range(8):
        moves = {"2026-01-01": [random.choice(["web", "ops"])], "2026-10-25": ["ops"]}
        await actor(
            db,
            acme,
            f"canary-{number}",
            f"Canary {number}",
            email=f"canary-{number}@acme.example",
            removed=number == 7,
            groups=moves,
        )
    whose = [
        await attribution(db, acme, f"canary-{random.randrange(9)}", group=random.choice(["", "", "lent"]), labels=labels)
        for labels in ({}, {"project": "a"}, {"project": "b", "hidden": "h"}, {"hidden": "g"}) for _ in range(4)
    ]  # fmt: skip
    whose += [await attribution(db, acme, "robot", kind="service_account"), await attribution(db, acme, group="web")]
    for row in await db.fetch(
        "SELECT organization_id, day, series_id, credits, events FROM usage_daily WHERE credits > 5"
    ):
        for who in random.sample(sorted(set(whose)), random.randrange(4)):
            await db.execute(
                "INSERT INTO usage_attributed_daily VALUES ($1, $2, $3, $4, $5, $6)",
                row["organization_id"], row["day"], who, row["series_id"], random.randrange(row["credits"] // 4 + 1), 0,
            )  # fmt: skip
    return acme


@pytest.mark.parametrize("people", ["named", "pseudonymous"])
async def test_lines_of_a_series_add_up_to_the_file_without_people(api: Api, db: TableRows, people: str) -> None:
    await show(db, await fill(db, 17), people, label_keys=["project"])
    plain = [(await api.ask(f"{USAGE}?range=all")).content]
    for query in (
        "range=all",
        "from=2026-03&to=2026-10",
        "range=all&product=assistant&view=tools",
        "range=all&surface=slack",
    ):
        sums = []
        for file in (PEOPLE, USAGE):
            of_series: Counter[tuple[str, ...]] = Counter()
            for line in await read_file(api, f"{file}?{query}"):
                key = tuple(
                    line[name] for name in ("date", "product", "kind", "category", "feature", "agent_id", "surface")
                )
                of_series[*key, "credits"] += int(Decimal(line["credits"]) * MICRO)
                of_series[*key, "events"] += int(line["events"])
            sums.append({key: value for key, value in of_series.items() if value})
        assert sums[0] == sums[1], query
    overview = await api.get("/api/v1/overview")
    assert total(await read_file(api, f"{PEOPLE}?credit_period=current")) == Decimal(overview["credits_used"])
    await db.execute("DELETE FROM usage_attributed_daily")
    assert (await api.ask(f"{USAGE}?range=all")).content == plain[0]
    assert {line["actor_kind"] for line in await read_file(api, f"{PEOPLE}?range=all")} == {"unattributed"}


@pytest.mark.parametrize(
    "who",
    [
        "actor=canary-1",
        "actor=robot",
        "group=ops",
        "group=web",
        "label=project:a",
        "label=project:b&group=ops",
        "actor=unknown",
    ],
)
async def test_filters_select_the_usage_that_they_select_in_the_file_without_people(
    api: Api, db: TableRows, who: str
) -> None:
    await show(db, await fill(db, 17), "named", label_keys=["project"])
    sums = [total(await read_file(api, f"{file}?range=all&surface=slack&{who}")) for file in (PEOPLE, USAGE)]
    assert sums[0] == sums[1]
    lines = await read_file(api, f"/api/v1/export/focus.csv?range=all&split=people&{who}")
    assert {line["ChargeCategory"] for line in lines} <= {"Usage"}
    assert sum(Decimal(line["PricingQuantity"]) for line in lines) == total(
        await read_file(api, f"{USAGE}?range=all&{who}")
    )
    assert bool(lines) == (who != "actor=unknown")


@pytest.mark.parametrize(
    "path",
    [
        f"{PEOPLE}?range=all&label=x:y",
        f"{PEOPLE}?range=all&group=ops&membership=now",
        "/api/v1/export/focus.csv?range=all&group=ops",
    ],
)
async def test_a_filter_that_a_file_cannot_have_is_refused(api: Api, db: TableRows, path: str) -> None:
    await show(db, await db.organization(), "named")
    assert (await api.ask(path)).status_code == 422


async def test_a_file_shows_people_as_the_organization_does(api: Api, db: TableRows) -> None:
    acme = await fill(db, 18)
    await show(db, acme, "named", label_keys=["project"])
    named = await read_file(api, f"{PEOPLE}?range=all")
    assert {line["actor_kind"] for line in named} == {"user", "service_account", "removed", "unattributed"}
    assert {(line["actor_id"], line["actor_name"]) for line in named if line["actor_kind"] == "removed"} == {
        ("", "Removed people")
    }
    assert {line["labels"] for line in named} <= {"", '{"project": "a"}', '{"project": "b"}'}
    assert "canary-7" not in {line["actor_id"] for line in named}
    await show(db, acme, "pseudonymous", label_keys=["project"])
    answer = await api.ask(f"{PEOPLE}?range=all")
    assert "canary" not in answer.text.lower()
    assert "robot" in answer.text
    aliased = await read_file(api, f"{PEOPLE}?range=all")
    assert len({line["actor_id"] for line in aliased}) == len({line["actor_id"] for line in named})


async def test_a_file_by_people_is_refused_while_only_groups_are_shown(api: Api, db: TableRows) -> None:
    acme = await fill(db, 20)
    await show(db, acme, "groups_only", label_keys=["project"])
    for path in (
        f"{PEOPLE}?range=all",
        f"{PEOPLE}{NOVEMBER}&product=agents",
        "/api/v1/export/focus.csv?range=all&split=people",
    ):
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/people-not-shown"), path
        assert "tab People" in answer.json()["detail"]
    assert list((await read_file(api, "/api/v1/export/focus.csv?range=all"))[0]) == list(FOCUS_COLUMNS)
    assert (await api.get("/api/v1/audit"))["entries"][0]["details"]["file"].endswith("focus.csv")
    # Without the route's check, no line would say more.
    kinds = await db.fetch(
        "SELECT DISTINCT who.actor_kind, who.group_id, who.labels FROM (SELECT DISTINCT day FROM usage_daily) AS used"
        " CROSS JOIN LATERAL usage_by_people($1, used.day) AS who", acme,
    )  # fmt: skip
    assert [tuple(row) for row in kinds] == [("unattributed", None, None)]


@pytest.mark.parametrize("people", ["named", "pseudonymous"])
async def test_usage_beyond_the_limit_of_attributions_is_other_as_in_views(
    api: Api, db: TableRows, people: str
) -> None:
    acme = PeopleRows(db, await db.organization())
    await acme.configure(people, ["project"])
    await acme.use("", "2026-11-05", 3, kind="other", labels={"": ""})
    await acme.use("robot", "2026-11-05", 4, kind="service_account", labels={"": ""}, group="web")
    await acme.use("robot", "2026-11-05", 8, kind="service_account", labels={"hidden": "x"})
    await acme.use("", "2026-11-05", 16)
    lines = await read_file(api, PEOPLE + NOVEMBER)
    assert {(line["actor_kind"], line["actor_name"], line["labels"], line["credits"]) for line in lines} == {
        ("other", "Other", '{"project": ""}', "0.000003"), ("service_account", "robot", '{"project": ""}', "0.000004"),
        ("service_account", "robot", "", "0.000008"), ("unattributed", "Unattributed", "", "0.000016"),
    }  # fmt: skip
    view = await api.get(f"/api/v1/usage/people{NOVEMBER}")
    for row in view["pinned"]:
        assert total([line for line in lines if line["actor_kind"] == row["kind"]]) == Decimal(row["credits"]), row
    of_label = await api.get(f"/api/v1/usage/people{NOVEMBER}&label=project:")
    assert (
        total(await read_file(api, f"{PEOPLE}{NOVEMBER}&label=project:"))
        == Decimal(of_label["total"])
        == Decimal("0.000007")
    )
    for version, actor_id, group_id in (("1.2", "x_Actor", "x_Group"), ("1.4", "x_ActorId", "x_GroupId")):
        focus = await read_file(api, f"/api/v1/export/focus.csv{NOVEMBER}&split=people&version={version}")
        used = [line for line in focus if line["ChargeCategory"] == "Usage"]
        assert {
            (line["x_ActorKind"], line[actor_id], line[group_id], Decimal(line["PricingQuantity"]) * MICRO) for line in used
        } == {("other", "", "", 3), ("service_account", "robot", "web", 4), ("service_account", "robot", "", 8),
            ("unattributed", "", "", 16)}  # fmt: skip


async def test_cells_are_escaped_as_in_the_other_files(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await group(db, acme, "@g(1)", "+Group")
    await actor(db, acme, "=cmd|x", "=1+1", groups={"2026-01-01": ["@g(1)"]})
    for actor_id in ("=cmd|x", "@at", "'=x"):
        await use_by(db, acme, await attribution(db, acme, actor_id), "api", "namespace", "search", "2026-11-02", MICRO)
    cells = {
        (line["actor_id"], line["actor_name"], line["group_id"], line["group_name"])
        for line in await read_file(api, PEOPLE + NOVEMBER)
    }
    assert cells == {
        ("'=cmd|x", "'=1+1", "'@g(1)", "'+Group"), ("@at", "'@at", "", ""), ("''=x", "'=x", "", ""),
    }  # fmt: skip


TEXTS = st.text(
    st.sampled_from("='+-@\t\r\n \xa0\u200b\u3000\x0b\x1c\x85\ufeff\u2028＝＋－＠(|!a[（｜９")
    | st.characters(codec="utf-8", exclude_characters="\0"),
    max_size=5,
)


async def test_postgres_escapes_cells_as_python_does(pool: Pool) -> None:
    texts: list[str] = []

    @settings(max_examples=3000, database=None, deadline=None)
    @given(TEXTS)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    formula, starts, signs, calls = CellPatterns()
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT x, x ~ $2 AS formula, ltrim(x, '''') ~ $3 OR (ltrim(x, '''') ~ $4 AND ltrim(x, '''') ~ $5) AS runs FROM unnest($1::text[]) AS x",
            texts, formula, starts, signs, calls,
        )  # fmt: skip
    for row in rows:
        assert row["formula"] == (guard(row["x"]) != row["x"]), ascii(row["x"])
        assert row["runs"] == (guard_id(row["x"]) != row["x"]), ascii(row["x"])


async def test_the_statements_columns_are_the_headers(pool: Pool) -> None:
    async with pool.acquire() as connection:
        statement = await connection.prepare(SQL["copy_people"])
        assert tuple(column.name for column in statement.get_attributes()) == tuple(PEOPLE_COLUMNS)
        assert len(statement.get_parameters()) == 8 + len(Label._fields) + len(WhoFilter._fields)


@pytest.mark.parametrize("people", ["named", "pseudonymous"])
async def test_a_focus_file_split_by_people_has_the_sums_of_the_whole(api: Api, db: TableRows, people: str) -> None:
    acme = await fill(db, 19)
    await show(db, acme, people)
    sums = []
    for query in ("range=all", "range=all&split=people"):
        of_sku: Counter[tuple[str, ...]] = Counter()
        lines = await read_file(api, f"/api/v1/export/focus.csv?{query}")
        for line in lines:
            key = tuple(
                line[name]
                for name in ("ChargePeriodStart", "ChargeCategory", "SkuId", "x_AgentId", "x_Surface", "x_Category")
            )
            for number in ("BilledCost", "EffectiveCost", "PricingQuantity", "x_Events"):
                of_sku[*key, number] += int(Decimal(line[number] or 0) * 10**12)
        sums.append({key: value for key, value in of_sku.items() if value})
    assert sums[0] == sums[1]
    assert list(lines[0]) == [*FOCUS_COLUMNS, *SPLIT_COLUMNS]
    actors, groups, kinds = ({line[name] for line in lines} for name in SPLIT_COLUMNS)
    assert kinds == {"", "user", "service_account", "removed", "unattributed"}  # purchases have none
    shown = {"named": "canary-1", "pseudonymous": "Person "}[people]
    assert any(each.startswith(shown) for each in actors)
    assert (people == "named") == any("canary" in each for each in actors)
    assert groups > {""}
