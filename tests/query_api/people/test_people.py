"""Usage by person, group and label: the rows add up to the total, for any range and filter."""

from typing import Any

import pytest
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows, local
from support.services.query_api import Api

NOVEMBER = "from=2026-11&to=2026-11"
PEOPLE = f"/api/v1/usage/people?{NOVEMBER}"


def micro(text: str) -> int:
    return int(text.replace(".", ""))


def brief(rows: list[dict[str, Any]]) -> list[Any]:
    """Kind, id, credits and nested rows."""
    return [
        (row["kind"], row["id"], micro(row["credits"]), *([brief(row["rows"])] if row["rows"] else [])) for row in rows
    ]


def total_of(answer: dict[str, Any]) -> int:
    return sum(micro(row["credits"]) for row in (*answer["rows"], *answer["pinned"]))


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    """Two people, one of whom moves, a removed one, a service account, and usage without actor."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure(label_keys=["project"])
    await rows.actor("ada", "Ada Lovelace", "ada@acme.example")
    await rows.actor("gone", "Gone Person", removed=True)
    await rows.group("sales", "Sales")
    await rows.group("sales/emea", "EMEA", "sales")
    await rows.group("rnd", "Research")
    await rows.member("ada", "2026-11-01", "sales/emea")
    await rows.member("ada", "2026-11-10", "rnd")
    await rows.use("ada", "2026-10-31", 40)
    await rows.use("ada", "2026-11-05", 10, agent="a1")
    await rows.use("ada", "2026-11-15", 20, labels={"project": "apollo", "secret": "x"})
    await rows.use("bob", "2026-11-15", 7, group="sales", surface="slack")
    await rows.use("gone", "2026-11-15", 5, labels={"project": "apollo"})
    await rows.use("robot", "2026-11-15", 3, kind="service_account", product="api")
    await rows.use("", "2026-11-15", 2, group="rnd")
    await rows.use("", "2026-11-15", 100)
    return rows


async def test_people_and_pinned_rows_add_up_to_the_total(api: Api, acme: PeopleRows) -> None:
    answer = await api.get(PEOPLE)
    assert brief(answer["rows"]) == [("person", "ada", 30), ("person", "bob", 7), ("service_account", "robot", 3)]
    assert brief(answer["pinned"]) == [("removed", "removed", 5), ("unattributed", "unattributed", 102)]
    assert [row["name"] for row in answer["rows"]] == ["Ada Lovelace", "bob", "robot"]
    assert micro(answer["total"]) == total_of(answer) == 147
    assert (answer["people"], answer["events"]) == (3, 7)


async def test_change_and_movers_are_against_the_range_before(api: Api, acme: PeopleRows) -> None:
    api.now = local("UTC", "2026-12-02")
    answer = await api.get(PEOPLE)
    assert (answer["previous"], answer["rows"][0]["previous"], answer["rows"][0]["change"]) == (
        "0.000040", "0.000040", "-0.250000"
    )  # fmt: skip
    movers = [(row["id"], micro(row["difference"])) for row in answer["movers"]]
    assert movers == [("ada", -10), ("bob", 7), ("robot", 3)]


@pytest.mark.parametrize("dates", ["from=2026-11-01&to=2026-11-30", "from=2026-11-01&to=2026-12-01", "range=all"])
async def test_days_and_months_give_the_same_rows(api: Api, acme: PeopleRows, dates: str) -> None:
    answer = await api.get(f"/api/v1/usage/people?{dates}")
    assert [row["id"] for row in answer["rows"]] == ["ada", "bob", "robot"]
    assert micro(answer["total"]) == total_of(answer)


@pytest.mark.parametrize(
    ("filters", "rows", "pinned"),
    [
        ("product=api", [("service_account", "robot", 3)], []),
        ("surface=slack", [("person", "bob", 7)], []),
        ("agent=a1", [("person", "ada", 10)], []),
        ("feature=search&product=agents", [("person", "ada", 30), ("person", "bob", 7)], [("removed", "removed", 5), ("unattributed", "unattributed", 102)]),
        ("actor=ada", [("person", "ada", 30)], []),
        ("actor=unknown", [], []),
        ("group=sales", [("person", "ada", 10), ("person", "bob", 7)], []),
        ("group=sales&membership=now", [("person", "bob", 7)], []),
        ("group=rnd", [("person", "ada", 20)], [("unattributed", "unattributed", 2)]),
        ("label=project:apollo", [("person", "ada", 20)], [("removed", "removed", 5)]),
        ("label=project:apollo&group=rnd&agent=", [("person", "ada", 20)], []),
    ],
)  # fmt: skip
async def test_filters(api: Api, acme: PeopleRows, filters: str, rows: list[Any], pinned: list[Any]) -> None:
    answer = await api.get(f"{PEOPLE}&{filters}")
    assert (brief(answer["rows"]), brief(answer["pinned"])) == (rows, pinned)
    assert micro(answer["total"]) == total_of(answer)


async def test_groups_are_a_tree_in_which_usage_stays_where_it_was(api: Api, acme: PeopleRows) -> None:
    answer = await api.get(f"{PEOPLE}&by=group")
    assert brief(answer["rows"]) == [
        ("group", "rnd", 22),
        ("group", "sales", 17, [("group", "sales/emea", 10), ("own", "sales", 7)]),
    ]
    assert brief(answer["pinned"]) == [("no_group", "no_group", 8), ("unattributed", "unattributed", 100)]
    assert micro(answer["total"]) == total_of(answer) == 147
    assert [(row["name"], row["people"]) for row in answer["rows"]] == [("Research", 1), ("Sales", 2)]


async def test_groups_of_now_take_the_history_along(api: Api, acme: PeopleRows) -> None:
    answer = await api.get(f"{PEOPLE}&by=group&membership=now")
    assert brief(answer["rows"]) == [("group", "rnd", 32), ("group", "sales", 7)]
    assert micro(answer["total"]) == total_of(answer) == 147


async def test_usage_beyond_the_limit_of_attributions_is_in_one_row(api: Api, acme: PeopleRows) -> None:
    await acme.use("ada", "2026-11-05", 4, labels={"": ""})
    await acme.use("", "2026-11-05", 3, kind="other", labels={"": ""})
    found = {}
    for by in ("person", "group", "label&label_key=project"):
        answer = await api.get(f"{PEOPLE}&by={by}")
        found[by] = [row for row in brief(answer["pinned"]) if row[0] == "other"]
        assert micro(answer["total"]) == total_of(answer) == 154
    assert [[row[2] for row in rows] for rows in found.values()] == [[3], [3], [7]]


async def test_values_of_a_label(api: Api, acme: PeopleRows) -> None:
    answer = await api.get(f"{PEOPLE}&by=label&label_key=project")
    assert brief(answer["rows"]) == [("value", "apollo", 25)]
    assert brief(answer["pinned"]) == [("no_value", "no_value", 122)]
    assert answer["label_keys"] == ["project"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("by=label", "label_key"), ("by=label&label_key=secret", "label_key"), ("label_key=project", "label_key"),
        ("label=secret:x", "label"), ("label=project", "label"), ("actor=%00", "actor"), ("view=tools", "view"), ("after=x", "after"),
        ("actor=a&actor=b", "actor"), ("by=group&by=person", "by"), ("from=2026-10", "from"),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_is_refused(api: Api, acme: PeopleRows, query: str, parameter: str) -> None:
    answer = await api.ask(f"{PEOPLE}&{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == parameter


async def test_pages_have_each_row_once_and_never_change_a_total(api: Api, db: TableRows) -> None:
    acme = PeopleRows(db, await db.organization())
    for number in range(7):
        await acme.use(f"u{number}", "2026-11-01", 5 if number % 2 else 9)
    await acme.use("", "2026-11-01", 1)
    seen, cursor = [], ""
    while True:
        answer = await api.get(f"{PEOPLE}&limit=3{cursor}")
        assert (micro(answer["total"]), brief(answer["pinned"])) == (52, [("unattributed", "unattributed", 1)])
        assert sum(band["people"] for band in answer["bands"]) == 7
        seen += [row["id"] for row in answer["rows"]]
        if answer["next"] is None:
            break
        cursor = f"&after={answer['next']}"
    assert seen == ["u0", "u2", "u4", "u6", "u1", "u3", "u5"]


async def test_drivers_of_an_agent(api: Api, db: TableRows) -> None:
    acme = PeopleRows(db, await db.organization())
    for number in range(4):
        await acme.use(f"u{number}", "2026-11-01", 10 + number, agent="a1")
        await acme.use(f"u{number}", "2026-11-01", 1, agent="a2")
    await acme.use("", "2026-11-01", 5, agent="a1")
    answer = await api.get(f"/api/v1/usage/drivers?{NOVEMBER}&agent=a1&limit=2")
    assert brief(answer["rows"]) == [("person", "u3", 13), ("person", "u2", 12)]
    assert (micro(answer["others"]), answer["other_rows"], answer["people"]) == (21, 2, 4)
    assert brief(answer["pinned"]) == [("unattributed", "unattributed", 5)]
    assert micro(answer["total"]) == 51
