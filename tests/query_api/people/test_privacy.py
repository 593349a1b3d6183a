"""What an organization does not show of its people is in no answer, file or mail, on any route and with any filter."""

import csv
import io
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from query_api.app import build_app
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.infra.stack import Database
from support.services.query_api import Api

NOVEMBER = "from=2026-11-01&to=2026-11-30"
TABLE = f"product=agents&view=agents&{NOVEMBER}"
FILTERED = (
    f"/api/v1/usage/people?by=group&{NOVEMBER}",
    f"/api/v1/usage/people?by=label&label_key=project&{NOVEMBER}",
    f"/api/v1/usage/drivers?by=group&{NOVEMBER}",
    f"/api/v1/breakdown?{TABLE}",
    f"/api/v1/deleted-agents?{NOVEMBER}",
    f"/api/v1/trend?{NOVEMBER}",
    f"/api/v1/trend?interval=hour&{NOVEMBER}",
    f"/api/v1/explain?people=true&{NOVEMBER}",
    f"/api/v1/export/table.csv?{TABLE}",
    f"/api/v1/export/usage.csv?{NOVEMBER}",
)
"""Routes that filter by actor, group and label."""
OTHERS = (
    "/api/v1/overview", "/api/v1/projection", "/api/v1/freshness", "/api/v1/proof?hours=168", "/api/v1/banner", "/api/v1/alerts",
    "/api/v1/alerts/settings", "/api/v1/alerts/test-mail", "/api/v1/alert-channels", "/api/v1/audit", "/api/v1/credit-periods",
    "/api/v1/reconcile", "/api/v1/reconcile/people", "/api/v1/reconcile/people?by=person", "/api/v1/session", "/api/v1/usage/runs?range=all", "/api/v1/export/people.csv?range=all",
    "/api/v1/export/focus.csv?range=all", "/api/v1/export/focus.csv?range=all&split=people",
    "/api/v1/export/focus.csv?version=1.4&range=all", "/api/v1/export/focus.csv?version=1.4&range=all&split=people",
    "/api/v1/export/manifests",
)  # fmt: skip
"""They filter by none of them."""
ELSEWHERE = {
    "/api/v1/live",  # sends what overview and banner answer
    "/api/v1/alerts/{id}", "/api/v1/alert-channels/{id}/deliveries", "/api/v1/api-keys", "/api/v1/api-keys/{key_id}/mapping",
    "/api/v1/mappings/ready-made", "/login", "/login/callback",  # name no actor of usage
    "/api/v1/me/usage", "/api/v1/usage/runs/{run_id}", "/api/v1/receipt",  # in the tests of runs, my usage and receipts
    "/api/v1/export/usage.parquet", "/api/v1/export/people.parquet", "/api/v1/export/table.parquet", "/api/v1/export/focus.parquet", "/api/v1/export/focus.json",  # in test_parquet.py
    "/api/v1/export/key.pub", *(f"/api/v1/export/manifests/{{export_id}}{part}" for part in ("", "/file", "/signature", "/changes")),  # of usage.csv without people
}  # fmt: skip

SECRETS = ("ada-id", "Ada Lovelace", "ada@acme.example", "gone-id", "Gone Person", "u1-id")


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    """A group of six, one of two with an agent of its own, and one of one person."""
    rows = PeopleRows(db, await db.organization())
    await db.execute("SELECT ensure_rollup_partition('2026-11-01')")
    await rows.actor("ada-id", "Ada Lovelace", "ada@acme.example")
    await rows.actor("gone-id", "Gone Person", removed=True)
    await rows.group("large")
    await rows.group("small", parent="large")
    for number in range(6):
        await rows.use(
            f"u{number}-id", "2026-11-01", 10 + number, group="large", labels={"project": "apollo"}, agent="a1"
        )
    await rows.use("ada-id", "2026-11-01", 1000, group="small", labels={"project": "solo"}, agent="a2")
    await rows.use("gone-id", "2026-11-01", 2000, group="small", agent="a2")
    await rows.use("ada-id", "2026-11-01", 4000, group="one", agent="a3")
    await rows.use("robot-id", "2026-11-01", 8000, kind="service_account")
    return rows


def test_every_route_that_reads_is_tried() -> None:
    described = {path for path, operations in build_app(None).openapi()["paths"].items() if "get" in operations}
    tried = {path.partition("?")[0] for path in (*FILTERED, *OTHERS)}
    assert described - tried - ELSEWHERE == set()


def rows_of(answer: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [
        (row["kind"], row["id"], int(row["credits"].replace(".", ""))) for row in (*answer["rows"], *answer["pinned"])
    ]


async def test_aliases_are_shown_instead_of_names(api: Api, acme: PeopleRows) -> None:
    await acme.configure("pseudonymous", ["project"])
    people = await api.get(f"/api/v1/usage/people?{NOVEMBER}")
    alias = next(row["id"] for row in people["rows"] if row["credits"] == "0.005000")
    assert alias.startswith("Person ")
    texts = [str(people)]
    for path in FILTERED:
        texts += [
            (await api.ask(path + who)).text for who in ("", f"&actor={alias}", "&group=large", "&label=project:solo")
        ]
        by_alias, by_id = await api.ask(f"{path}&actor={alias}"), await api.ask(f"{path}&actor=ada-id")
        assert by_alias.status_code == by_id.status_code == 200
        texts.append(by_id.text.replace("ada-id", ""))
    texts += [(await api.ask(path)).text for path in OTHERS if path != "/api/v1/session" and "audit" not in path]
    for secret in SECRETS:
        assert not [text for text in texts if secret in text.replace('"ada@acme.example"]', "")], secret
    # Who knows an id cannot find the person's usage with it.
    assert (await api.get(f"/api/v1/usage/people?{NOVEMBER}&actor=ada-id"))["total"] == "0.000000"
    assert (await api.get(f"/api/v1/usage/people?{NOVEMBER}&actor={alias}"))["total"] == "0.005000"
    assert ("service_account", "robot-id", 8000) in rows_of(people)
    assert ("removed", "removed", 2000) in rows_of(people)


async def test_a_super_admin_reveals_one_person_and_it_is_audited(api: Api, acme: PeopleRows) -> None:
    await acme.configure("pseudonymous")
    people = await api.get(f"/api/v1/usage/people?{NOVEMBER}")
    alias = next(row["id"] for row in people["rows"] if row["credits"] == "0.005000")
    body = {"alias": alias}
    for role in ("admin", "billing_moderator"):
        assert (await api.send("POST", "/api/v1/people/reveal", body, role=role)).status_code == 403
    unknown = await api.send("POST", "/api/v1/people/reveal", {"alias": "Person 0000000000"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/no-such-person")
    answer = await api.send("POST", "/api/v1/people/reveal", body)
    assert answer.json() == {"alias": alias, "id": "ada-id", "name": "Ada Lovelace", "email": "ada@acme.example"}
    audit = (await api.ask("/api/v1/audit")).json()["entries"]
    reveals = [(entry["subject"], entry["details"]) for entry in audit if entry["action"] == "people.reveal"]
    assert reveals == [("user-1", {"alias": alias})]
    await acme.actor("ada-id", removed=True)
    assert (await api.send("POST", "/api/v1/people/reveal", body)).status_code == 404
    await acme.configure("named")
    assert (await api.send("POST", "/api/v1/people/reveal", body)).status_code == 409
    await acme.configure("groups_only")
    assert (await api.send("POST", "/api/v1/people/reveal", body)).json()["type"] == "/problems/people-not-shown"


async def test_an_erased_person_has_no_name_and_the_sum_stays(api: Api, acme: PeopleRows) -> None:
    before = await api.get(f"/api/v1/usage/people?{NOVEMBER}")
    await acme.actor("ada-id", removed=True, erased=True)
    after = await api.get(f"/api/v1/usage/people?{NOVEMBER}")
    assert before["total"] == after["total"]
    assert "Ada Lovelace" not in str(after)
    assert ("removed", "removed", 7000) in rows_of(after)
    assert (await api.get(f"/api/v1/usage/people?{NOVEMBER}&actor=ada-id"))["total"] == "0.000000"


async def test_only_groups_of_five_are_shown(api: Api, acme: PeopleRows) -> None:
    await acme.configure("groups_only", ["project"])
    groups = await api.get(f"/api/v1/usage/people?by=group&{NOVEMBER}")
    # The small group and the group of one have two people together, so they take "large" along.
    assert rows_of(groups) == [("small", "small", 7075), ("no_group", "no_group", 8000)]
    await acme.use("u6-id", "2026-11-01", 5, group="small")
    for number in range(7, 12):
        await acme.use(f"u{number}-id", "2026-11-01", 1, group="one")
    groups = await api.get(f"/api/v1/usage/people?by=group&{NOVEMBER}")
    assert rows_of(groups) == [("group", "one", 4005), ("group", "large", 3080), ("no_group", "no_group", 8000)]
    assert groups["rows"][1]["rows"] == []  # "small" would be a difference
    labels = await api.get(f"/api/v1/usage/people?by=label&label_key=project&{NOVEMBER}")
    assert {kind for kind, _, _ in rows_of(labels)} <= {"small", "no_value"}
    assert "solo" not in str(labels)


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ("&actor=ada-id", "people-not-shown"), ("&actor=u1-id", "people-not-shown"), ("&actor=unknown", "people-not-shown"),
        ("&group=small", "too-few-people"), ("&group=one", "too-few-people"), ("&group=unknown", "too-few-people"),
        ("&label=project:solo", "too-few-people"), ("&label=project:unknown", "too-few-people"),
        ("&group=small&label=project:solo", "too-few-people"),
        ("&group=ten&label=project:solo", "too-few-people"),
        ("&group=ten&surface=slack", "too-few-people"),
    ],
)  # fmt: skip
async def test_one_to_four_people_are_refused_on_every_route(
    api: Api, acme: PeopleRows, who: str, problem: str
) -> None:
    await acme.configure("groups_only", ["project"])
    for number in range(10):
        await acme.use(f"v{number}-id", "2026-11-01", 1, group="ten")
    await acme.use("v1-id", "2026-11-01", 1, group="ten", surface="slack")
    for path in FILTERED:
        answer = await api.ask(path + who)
        assert (answer.status_code, answer.json()["type"]) == (403, f"/problems/{problem}"), path
        assert not [secret for secret in SECRETS if secret in answer.text.replace("ada@acme.example", "")]
    assert (await api.ask(f"/api/v1/breakdown?{TABLE}&group=ten")).status_code == 200


async def test_people_and_agents_of_one_person_are_refused_while_only_groups_are_shown(
    api: Api, acme: PeopleRows
) -> None:
    await acme.configure("groups_only")
    for path in (f"/api/v1/usage/people?{NOVEMBER}", f"/api/v1/usage/drivers?{NOVEMBER}"):
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/people-not-shown")
    for path in (f"/api/v1/usage/people?by=group&{NOVEMBER}", f"/api/v1/usage/drivers?by=group&{NOVEMBER}"):
        for filters in ("&agent=a2", "&agent=a3", "&agent=a2&group=small"):
            answer = await api.ask(path + filters)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people")
    texts = [
        (await api.ask(path)).text for path in (*FILTERED, *OTHERS) if "session" not in path and "audit" not in path
    ]
    for secret in SECRETS:
        assert not [text for text in texts if secret in text.replace('"ada@acme.example"]', "")], secret


async def test_files_by_people_and_filters_of_runs_are_refused_while_only_groups_are_shown(
    api: Api, acme: PeopleRows
) -> None:
    """A merged row of one day, or a run of a group's agent, is one person's."""
    await acme.configure("groups_only", ["project"])
    for path in (
        "/api/v1/export/people.csv?range=all", "/api/v1/export/people.parquet?range=all",
        "/api/v1/export/focus.csv?range=all&split=people",
        *(f"/api/v1/usage/runs?range=all&{who}" for who in ("actor=ada-id", "group=large", "label=project:apollo")),
    ):  # fmt: skip
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/people-not-shown"), path


async def test_a_group_with_an_agent_of_one_person_is_refused_in_tables_of_agents(api: Api, acme: PeopleRows) -> None:
    await acme.configure("groups_only")
    for number in range(10):
        await acme.use(f"v{number}-id", "2026-11-01", 1, group="ten", agent="shared")
    agents = (
        f"/api/v1/breakdown?{TABLE}&group=ten", f"/api/v1/breakdown?product=agents&view=features&{NOVEMBER}&group=ten",
        f"/api/v1/trend?{NOVEMBER}&group_by=agent&group=ten", f"/api/v1/export/table.csv?{TABLE}&group=ten",
    )  # fmt: skip
    assert {(await api.ask(path)).status_code for path in agents} == {200}
    await acme.use("v1-id", "2026-11-01", 555, group="ten", agent="own")
    for path in agents:
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people")
    assert (await api.get(f"/api/v1/trend?{NOVEMBER}&group_by=product&group=ten"))["total"] == "0.000565"


@pytest.mark.parametrize(
    "part",
    [
        "from=2026-11-01&to=2026-11-19", "from=2026-11-05&to=2026-11-30", f"{NOVEMBER}&surface=web", f"{NOVEMBER}&surface=slack",
        "from=2026-10-15&to=2026-11-30",
    ],
)  # fmt: skip
async def test_what_one_person_used_cannot_be_computed_by_comparing_answers(
    api: Api, acme: PeopleRows, part: str
) -> None:
    """Of a part of the month, or a surface, everything else is about one person."""
    await acme.configure("groups_only", ["project"])
    for number in range(10):
        for day in ("2026-10-05", "2026-11-05"):
            await acme.use(f"v{number}-id", day, 1, group="ten", agent="shared", labels={"project": "ten"})
    await acme.use("v1-id", "2026-11-04", 555, group="ten", agent="shared", labels={"project": "ten"}, surface="slack")
    await acme.use("v1-id", "2026-10-20", 555, group="ten", agent="shared", labels={"project": "ten"})
    await acme.use("v1-id", "2026-11-20", 555, group="ten", agent="shared", labels={"project": "ten"}, surface="slack")
    for path in FILTERED:
        route, _, query = path.partition("?")
        given = query.replace(f"&{NOVEMBER}", "").replace(NOVEMBER, "")
        if "interval=hour" in path and "10-15" in part:
            continue  # more than 31 days
        if "by=label" not in path:
            answer = await api.ask(f"{route}?{given}&{part}&group=ten")
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people"), path
        if "by=group" not in path:
            answer = await api.ask(f"{route}?{given}&{part}&label=project:ten")
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people"), path
    for by in ("by=group", "by=label&label_key=project"):
        whole = await api.get(f"/api/v1/usage/people?{by}&{NOVEMBER}")
        assert [row["credits"] for row in whole["rows"] if row["id"] == "ten"] == ["0.001120"]
        asked = (await api.ask(f"/api/v1/usage/people?{by}&{part}")).json().get("rows", [])
        # Of a range that begins in October, only the whole month is in the row.
        assert {row["credits"] for row in asked if row["id"] == "ten"} <= {"0.001120"}
    days, months = [await api.ask(f"/api/v1/trend?{NOVEMBER}&group=ten&interval={each}") for each in ("day", "month")]
    assert (days.status_code, months.status_code, months.json()["total"]) == (403, 200, "0.001120")


@pytest.mark.parametrize(
    "dates", ["range=all", "from=0001-01&to=9999-12", "from=0001-01-01&to=9999-12-31", "from=2020-01&to=2020-02"]
)
async def test_any_range_is_answered_while_only_groups_are_shown(api: Api, acme: PeopleRows, dates: str) -> None:
    await acme.configure("groups_only", ["project"])
    for by in ("by=group", "by=label&label_key=project"):
        answer = await api.get(f"/api/v1/usage/people?{by}&{dates}")
        assert answer["total"] == ("0.000000" if "2020" in dates else "0.015075")
        assert sum(row[2] for row in rows_of(answer)) == int(answer["total"].replace(".", ""))


ENDS = ("2026-11-22", "2026-11-23", "2026-11-30", "2026-12-31")
"""From today on. Usage of tomorrow is counted already."""


@pytest.mark.parametrize("is_alone", [True, False])
async def test_ranges_that_end_today_or_later_show_the_same_of_groups(api: Api, db: TableRows, is_alone: bool) -> None:
    """Their difference would be usage dated tomorrow, of one person or of few."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only", ["project"])
    for number in range(9):
        await rows.use(f"v{number}-id", "2026-11-05", 10, group="ten", agent="shared", labels={"project": "ten"})
    tomorrow = [("v1-id", "2026-11-23", 777)]
    if not is_alone:  # they would make a group of four one of five, and another month one of five people
        tomorrow += [(f"w{number}-id", day, 1) for number in range(5) for day in ("2026-11-23", "2026-12-01")]
    await db.agent(rows.organization, "shared", "deleted", "Shared")
    for actor, day, credits in tomorrow:
        await rows.use(actor, day, credits, group="ten", agent="shared", labels={"project": "ten"})
    for path in FILTERED:
        route, _, query = path.partition("?")
        if "explain" in route or "interval" in query:  # compares two ranges; at most 31 days
            continue
        for who in ("", "&group=ten", "&label=project:ten"):
            if ("label=" in who and "by=group" in query) or ("group=" in who and "by=label" in query):
                continue  # crossed
            given = query.replace(NOVEMBER, "")
            answers = [await api.ask(f"{route}?{given}&from=2026-11-01&to={end}{who}") for end in ENDS]
            assert {answer.status_code for answer in answers} == {200}, (path, who)
            if who:
                assert {credits_in(answer) for answer in answers} == {90}, (path, who)
            elif "/usage/" in route:
                groups = [[row for row in rows_of(answer.json()) if row[0] in ("group", "value")] for answer in answers]
                assert all(found == [(groups[0][0][0], "ten", 90)] for found in groups), path


def credits_in(answer: httpx.Response) -> int:
    """Of the whole answer, in micro-credits."""
    if answer.headers["content-type"].startswith("application/json"):
        return int(answer.json()["total"].replace(".", ""))
    lines = csv.DictReader(io.StringIO(answer.text))
    return sum(int(line["credits"].replace(".", "")) for line in lines if line.get("is_leaf", "true") == "true")


async def test_usage_of_tomorrow_is_in_its_group_once_its_day_has_begun(api: Api, db: TableRows) -> None:
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only")
    for number in range(9):
        for day in ("2026-11-05", "2026-11-23"):
            await rows.use(f"v{number}-id", day, 10, group="ten")
    path = "/api/v1/usage/people?by=group&from=2026-11&to=2026-11"
    assert rows_of(await api.get(path)) == [("group", "ten", 90), ("unattributed", "unattributed", 90)]
    api.now += timedelta(days=1)
    assert rows_of(await api.get(path)) == [("group", "ten", 180)]


async def test_todays_groups_are_refused_while_only_groups_are_shown(api: Api, db: TableRows) -> None:
    """Compared with the groups of the day, they would show what a person used who has moved."""
    rows = PeopleRows(db, await db.organization())
    for number in range(6):
        await rows.use(f"v{number}-id", "2026-11-01", 10)
        await rows.member(f"v{number}-id", "2026-01-01", "six")
    await rows.member("v5-id", "2026-11-02", "other")
    await rows.configure("groups_only")
    for query in (f"by=group&{NOVEMBER}", f"by=group&{NOVEMBER}&group=six"):
        assert (await api.ask(f"/api/v1/usage/people?{query}")).status_code == 200
        answer = await api.ask(f"/api/v1/usage/people?{query}&membership=now")
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people")
    assert (await api.ask(f"/api/v1/breakdown?{TABLE}&group=six&membership=now")).status_code == 403
    # Without a group it means nothing.
    assert (await api.ask(f"/api/v1/breakdown?{TABLE}&membership=now")).status_code == 200


CUT = "from=2026-11-01&to=2026-11-20"
PARTS_OF_NOVEMBER = [NOVEMBER, CUT, f"{NOVEMBER}&surface=web", f"{NOVEMBER}&product=agents"]


@pytest.mark.parametrize("part", PARTS_OF_NOVEMBER)
@pytest.mark.parametrize("day", ["2026-11-01", "2026-11-05"])
async def test_a_person_whose_usage_was_cancelled_does_not_make_a_group_large_enough(
    api: Api, db: TableRows, part: str, day: str
) -> None:
    """Also if the correction counts on another day."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only")
    for number in range(9):
        await rows.use(f"b{number}-id", "2026-11-01", 10, group="big")
        if number < 4:
            await rows.use(f"v{number}-id", "2026-11-01", 10, group="five")
    await rows.use("w-id", "2026-11-01", 10, group="five")
    query = f"/api/v1/usage/people?by=group&{part}"
    assert (await api.get(f"{query}&group=five"))["total"] == "0.000050"
    await rows.use("w-id", day, -10, group="five", events=0)
    assert (await api.ask(f"{query}&group=five")).json()["type"] == "/problems/too-few-people"
    assert "five" not in {row["id"] for row in (await api.get(query))["rows"]}
    # Corrections of earlier months that cancel each other are no usage either.
    for number, credits in enumerate((7, -7)):
        await rows.use("x-id", f"2026-11-0{1 + number}", credits, group="five", events=0)
    assert (await api.ask(f"{query}&group=five")).json()["type"] == "/problems/too-few-people"
    await rows.use("y-id", "2026-11-01", 1, group="five")
    if part != CUT:  # there, the days of these corrections are about one person
        assert (await api.get(f"{query}&group=five"))["total"] == "0.000041"


@pytest.mark.parametrize("part", PARTS_OF_NOVEMBER)
async def test_usage_of_people_that_adds_up_to_nothing_is_not_shown_alone(api: Api, db: TableRows, part: str) -> None:
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only")
    await rows.use("ada-id", "2026-11-01", 10, group="one")
    await rows.use("ada-id", "2026-11-01", -10, group="one", events=0)
    answer = await api.ask(f"/api/v1/usage/people?by=group&{part}")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people")


@pytest.mark.parametrize("part", PARTS_OF_NOVEMBER)
async def test_usage_of_an_unknown_number_of_people_is_merged(api: Api, db: TableRows, part: str) -> None:
    """Beyond the limit of attributions, the number of people in the row Other is unknown."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only")
    for number in range(6):
        await rows.use(f"v{number}-id", "2026-11-01", 10, group="six")
        await rows.use(f"v{number}-id", "2026-11-01", 100, group="more")
    await rows.use("", "2026-11-01", 5, kind="other")
    answer = await api.get(f"/api/v1/usage/people?by=group&{part}")
    assert rows_of(answer) == [("group", "six", 60), ("small", "small", 605)]


@pytest.mark.parametrize("query", ["by=label&label_key=project&group=ten", "by=group&label=project:ten"])
async def test_groups_and_labels_are_not_crossed_while_only_groups_are_shown(
    api: Api, acme: PeopleRows, query: str
) -> None:
    await acme.configure("groups_only", ["project"])
    for number in range(10):
        await acme.use(f"v{number}-id", "2026-11-05", 1, group="ten", labels={"project": "ten"})
    answer = await api.ask(f"/api/v1/usage/people?{query}&{NOVEMBER}")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-few-people")


HOUR = "/api/v1/trend?from=2026-11-05&to=2026-11-05&interval=hour"


@pytest.fixture
async def nine(db: TableRows) -> PeopleRows:
    """Nine people who used something in the same hour."""
    rows = PeopleRows(db, await db.organization())
    await db.execute("SELECT ensure_rollup_partition('2026-11-01')")
    await rows.configure("groups_only", ["project"])
    for number in range(9):
        await rows.use(f"v{number}-id", "2026-11-05", 10, at=f"10:0{number}", group="ten", labels={"project": "ten"})
    return rows


async def refusal(api: Api, path: str) -> tuple[int, str]:
    answer = await api.ask(path)
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


TOO_FEW = (403, "too-few-people")


@pytest.mark.parametrize("who", ["group=ten", "label=project:ten"])
async def test_hours_of_five_people_are_shown_while_only_groups_are_shown(api: Api, nine: PeopleRows, who: str) -> None:
    trend = await api.get(f"{HOUR}&{who}")
    assert trend["total"] == "0.000090"
    assert [bucket["events"] for bucket in trend["buckets"]] == [9 if hour == 10 else 0 for hour in range(24)]
    assert (await api.get(f"{HOUR.replace('hour', '15m')}&{who}"))["total"] == "0.000090"
    for number in range(4):
        await nine.use(f"v{number}-id", "2026-11-05", 10, at="10:20", group="ten", labels={"project": "ten"})
    assert (await api.get(f"{HOUR}&{who}"))["total"] == "0.000130"
    assert await refusal(api, f"{HOUR.replace('hour', '15m')}&{who}") == TOO_FEW
    for number in range(4):
        await nine.use(f"v{number}-id", "2026-11-05", 10, at="11:00", group="ten", labels={"project": "ten"})
    assert await refusal(api, f"{HOUR}&{who}") == TOO_FEW
    assert (await api.get(f"{HOUR.replace('hour', 'day')}&{who}"))["total"] == "0.000170"
    await nine.use("v4-id", "2026-11-05", 10, at="11:30", group="ten", labels={"project": "ten"})
    assert (await api.get(f"{HOUR}&{who}"))["total"] == "0.000180"


async def test_an_hour_of_few_people_in_the_month_refuses_all_hours_of_it(api: Api, nine: PeopleRows) -> None:
    """Else hours of one range and of another one would show it by their difference."""
    await nine.use("v0-id", "2026-11-07", 10, at="10:00", group="ten")
    for number in range(9):
        await nine.use(f"v{number}-id", "2026-11-07", 10, at="11:00", group="ten")
    assert (await api.get("/api/v1/trend?from=2026-11-05&to=2026-11-07&interval=day&group=ten"))["total"] == "0.000190"
    for days in ("from=2026-11-05&to=2026-11-05", "from=2026-11-05&to=2026-11-07", "from=2026-11&to=2026-11"):
        assert await refusal(api, f"/api/v1/trend?{days}&interval=hour&group=ten") == TOO_FEW, days


@pytest.mark.parametrize("at", ["2026-11-05T10:30", "2026-11-05T15:00", "2026-11-06T15:00"])
@pytest.mark.parametrize("who", ["group=ten", "label=project:ten"])
async def test_hours_do_not_show_one_person_as_the_difference_to_the_total(
    api: Api, nine: PeopleRows, at: str, who: str
) -> None:
    """One person's group is merged with the other one in the month, so no hour may distinguish them."""
    await nine.use("ada-id", at[:10], 777, at=at[11:], group="solo", labels={"project": "solo"})
    for days in ("from=2026-11-05&to=2026-11-05", "from=2026-11-05&to=2026-11-06", "from=2026-11&to=2026-11"):
        for interval in ("hour", "15m"):
            if interval == "hour" or "11-0" in days:
                assert await refusal(api, f"/api/v1/trend?{days}&interval={interval}&{who}") == TOO_FEW, days


async def test_quarters_show_no_group_that_hours_merge(api: Api, db: TableRows) -> None:
    """Else the total minus hours of `a` and quarters of `g` would be what three people of `b` used at ten."""
    rows = PeopleRows(db, await db.organization())
    await db.execute("SELECT ensure_rollup_partition('2026-11-01')")
    await rows.configure("groups_only")
    quarters = ("10:00", "10:15", "10:30")
    used = [("a", range(2 * n, 2 * n + 2), at) for n, at in enumerate(quarters)]
    used += [("b", range(3), at) for at in quarters] + [("g", range(5), at) for at in quarters]
    used += [("b", range(3, 8), "11:00")]
    for group, numbers, at in used:
        for number in numbers:
            await rows.use(f"{group}{number}-id", "2026-11-05", 10, at=at, group=group)
    for group, total in (("a", "0.000060"), ("b", "0.000140"), ("g", "0.000150")):
        assert (await api.get(f"{HOUR.replace('hour', 'day')}&group={group}"))["total"] == total
    assert (await api.get(f"{HOUR}&group=a"))["total"] == "0.000060"
    for group, interval in (("b", "hour"), ("g", "hour"), ("b", "15m"), ("g", "15m"), ("a", "15m")):
        assert await refusal(api, f"{HOUR.replace('hour', interval)}&group={group}") == TOO_FEW, (group, interval)


async def test_hours_of_one_person_are_refused_while_only_groups_are_shown(api: Api, nine: PeopleRows) -> None:
    assert await refusal(api, f"{HOUR}&actor=v1-id") == (403, "people-not-shown")
    assert await refusal(api, f"{HOUR}&group=ten&membership=now") == TOO_FEW
    assert await refusal(api, f"{HOUR}&group=ten&label=project:ten") == TOO_FEW


async def test_hours_of_months_with_too_many_events_are_refused_while_only_groups_are_shown(
    api: Api, nine: PeopleRows
) -> None:
    await nine.use("v0-id", "2026-11-05", 1, group="ten", events=20_001)
    answer = await api.ask(f"{HOUR}&group=ten")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "interval")
    assert (await api.get(f"{HOUR.replace('hour', 'day')}&group=ten"))["total"] == "0.000091"


async def test_hours_of_today_have_no_usage_of_tomorrow_while_only_groups_are_shown(api: Api, nine: PeopleRows) -> None:
    """It would be the difference of ranges that end today and tomorrow."""
    await nine.use("v0-id", "2026-11-23", 777, at="00:01", group="ten")
    for end in ENDS[:3]:
        trend = await api.get(f"/api/v1/trend?from=2026-11-05&to={end}&interval=hour&group=ten")
        assert trend["total"] == "0.000090", end


async def test_hours_of_an_alias(api: Api, nine: PeopleRows) -> None:
    await nine.configure("pseudonymous", ["project"])
    people = await api.get(f"/api/v1/usage/people?{NOVEMBER}")
    alias = people["rows"][0]["id"]
    trend = await api.get(f"{HOUR}&actor={alias}")
    assert (trend["total"], [bucket["total"] for bucket in trend["buckets"]][10]) == ("0.000010", "0.000010")
    assert "v" + "1-id" not in str(trend)
    for number in range(9):  # who knows an id cannot find the person's hours with it
        assert (await api.get(f"{HOUR}&actor=v{number}-id"))["total"] == "0.000000"


async def test_what_one_person_used_before_is_not_shown_as_previous(api: Api, acme: PeopleRows) -> None:
    await acme.configure("groups_only")
    for number in range(10):
        await acme.use(f"v{number}-id", "2026-11-05", 1, group="ten")
    await acme.use("v1-id", "2026-10-05", 777, group="ten")
    for path in (
        f"/api/v1/usage/people?by=group&{NOVEMBER}&group=ten",
        f"/api/v1/breakdown?product=agents&view=features&{NOVEMBER}&group=ten",
    ):
        answer = await api.get(path)
        assert (answer["previous"], answer["previous_range"], answer["change"]) == (None, None, None)
        assert "777" not in str(answer)


async def test_what_sends_mails_and_webhooks_can_read_neither_people_nor_their_usage(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    tables = (
        "actors", "actor_groups", "people_groups", "usage_attributions", "usage_attributed_daily", "usage_attributed_monthly", "usage_runs"
    )  # fmt: skip
    for table in tables:
        assert not await connection.fetchval(
            "SELECT has_table_privilege('flexcredits_alerter', $1, 'SELECT')", table
        ), table
    await connection.close()
