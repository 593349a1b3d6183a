"""Runs of a range, and one run with its uses."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from flexcredits_schemas.identity import run_identity_of
from support.data.people_rows import actor, attribution, group, run_use, show
from support.data.table_rows import MICRO, TableRows, local
from support.services.query_api import Api

RUNS = "/api/v1/usage/runs"
AT = datetime(2026, 11, 5, 10, tzinfo=UTC)


def path_of(run_id: str, query: str = "") -> str:
    return f"{RUNS}/{quote(run_id, safe='')}{query}"


async def test_the_dearest_runs_of_a_range_come_first(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    zone = "Asia/Kathmandu"
    await db.agent(acme, "agt_42", "saved", "Quarterly report")
    await group(db, acme, "platform", "Platform team")
    await actor(db, acme, "u-1", "Ada Lovelace", groups={"2026-01-01": ["platform"]})
    await show(db, acme, "named", label_keys=["project"])
    ada = await attribution(db, acme, "u-1", labels={"project": "apollo", "secret": "x"})
    first, last = local(zone, "2026-11-01"), local(zone, "2026-11-30", "23:59")
    await run_use(db, acme, "org_acme", "begins-before", "e1", first - timedelta(seconds=1), 90 * MICRO, zone=zone)
    await run_use(db, acme, "org_acme", "begins-before", "e2", first, 90 * MICRO, zone=zone)
    await run_use(db, acme, "org_acme", "a", "e3", first, 2 * MICRO, zone=zone, attribution=ada, corrected=-MICRO)
    await run_use(db, acme, "org_acme", "a", "e4", first + timedelta(minutes=3), 3 * MICRO, zone=zone, parent="up")
    await run_use(db, acme, "org_acme", "b", "e5", last, 5 * MICRO, zone=zone, agent="")
    answer = await api.get(f"{RUNS}?from=2026-11&to=2026-11")
    assert (answer["runs"], answer["credits"], answer["events"], answer["next"]) == (2, "9.000000", 3, None)
    assert [row["id"] for row in answer["rows"]] == ["b", "a"]
    assert answer["rows"][1] == {
        "id": "a", "key": run_identity_of("a").hex(), "parent_id": "up",
        "agent": {"id": "agt_42", "name": "Quarterly report", "status": "agent"},
        "actor": {"kind": "user", "id": "u-1", "name": "Ada Lovelace"}, "group": {"id": "platform", "name": "Platform team"},
        "labels": {"project": "apollo"}, "first_at": "2026-10-31T18:15:00Z", "last_at": "2026-10-31T18:18:00Z",
        "credits": "4.000000", "events": 2,
    }  # fmt: skip
    assert {key: answer["rows"][0][key] for key in ("agent", "actor", "group", "labels", "parent_id")} == {
        "agent": None, "actor": None, "group": None, "labels": {}, "parent_id": None
    }  # fmt: skip


async def test_each_agent_has_its_percentiles(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for number in range(1, 21):
        await run_use(db, acme, "org_acme", f"r{number}", f"e{number}", AT, number * MICRO)
    await run_use(db, acme, "org_acme", "other", "e99", AT, 7 * MICRO, agent="agt_7")
    answer = await api.get(f"{RUNS}?from=2026-11&to=2026-11&limit=3")
    assert [(each["agent"]["id"], each["runs"], each["credits"], each["p50"], each["p95"]) for each in answer["agents"]] == [
        ("agt_42", 20, "210.000000", "10.000000", "19.000000"), ("agt_7", 1, "7.000000", "7.000000", "7.000000")
    ]  # fmt: skip
    assert answer["agents_not_listed"] == 0
    only = await api.get(f"{RUNS}?from=2026-11&to=2026-11&agent=agt_7")
    assert ([row["id"] for row in only["rows"]], only["credits"]) == (["other"], "7.000000")


async def test_pages_have_each_run_once_and_the_same_totals(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for number in range(23):
        await run_use(db, acme, "org_acme", f"r{number}", f"e{number}", AT, number % 4 * MICRO)
    whole = await api.get(f"{RUNS}?from=2026-11&to=2026-11&limit=200")
    rows, cursor = [], ""
    while True:
        page = await api.get(f"{RUNS}?from=2026-11&to=2026-11&limit=5{cursor}")
        assert [page[key] for key in ("runs", "credits", "events", "agents")] == [
            whole[key] for key in ("runs", "credits", "events", "agents")
        ]
        rows += page["rows"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert rows == whole["rows"]
    assert sum(Decimal(row["credits"]) for row in rows) == Decimal(whole["credits"])


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=WzFd",
        "limit=0",
        "limit=201",
        "product=agents",
        "actor=%00",
        "label=project",
        "label=other:x",
        "group=",
    ],
)
async def test_an_invalid_parameter_is_named(api: Api, db: TableRows, query: str) -> None:
    await show(db, await db.organization(), "named", label_keys=["project"])
    answer = await api.ask(f"{RUNS}?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


async def people(db: TableRows) -> int:
    """Runs of people who move between groups, without and with an event's own group."""
    acme = await db.organization()
    for name, parent in (("all", None), ("eng", "all"), ("web", "eng"), ("ops", "all")):
        await group(db, acme, name, name.title(), parent)
    await actor(db, acme, "moves", "Moves", groups={"2026-01-01": ["web"], "2026-11-10": ["ops"]})
    await actor(db, acme, "gone", "Gone", removed=True, groups={"2026-01-01": ["ops"]})
    await show(db, acme, "named", label_keys=["project"])
    moves, gone = await attribution(db, acme, "moves"), await attribution(db, acme, "gone")
    lent = await attribution(db, acme, "moves", group="eng", labels={"project": "a:b"})
    robot = await attribution(db, acme, "robot", kind="service_account")
    for run, day, who in (
        ("before", 9, moves), ("after", 10, moves), ("lent", 11, lent), ("gone", 12, gone), ("robot", 13, robot), ("none", 14, None),
    ):  # fmt: skip
        at = datetime(2026, 11, day, 0, 0, tzinfo=UTC)
        await run_use(db, acme, "org_acme", run, run, at, MICRO, attribution=who)
    return acme


async def test_filters_select_runs_of_people_groups_and_labels(api: Api, db: TableRows) -> None:
    await people(db)
    for query, runs in {
        "": {"before", "after", "lent", "gone", "robot", "none"}, "&actor=moves": {"before", "after", "lent"}, "&group=web": {"before"},
        "&group=eng": {"before", "lent"}, "&group=ops": {"after", "gone"}, "&group=all": {"before", "after", "lent", "gone"},
        "&label=project:a:b": {"lent"}, "&label=project:x": set(), "&actor=moves&group=ops": {"after"}, "&actor=robot": {"robot"},
        "&actor=gone": set(), "&actor=moves&agent=agt_7": set(), "&group=none": set(),
    }.items():  # fmt: skip
        answer = await api.get(f"{RUNS}?from=2026-11&to=2026-11{query}")
        assert {row["id"] for row in answer["rows"]} == runs, query
        assert (answer["runs"], Decimal(answer["credits"])) == (len(runs), len(runs)), query


async def test_removed_people_have_neither_id_nor_name(api: Api, db: TableRows) -> None:
    await people(db)
    run = await api.get(path_of("gone"))
    assert run["actor"] == {"kind": "removed", "id": None, "name": "Removed people"}
    assert run["group"] == {"id": "ops", "name": "Ops"}


async def test_pseudonymous_people_have_aliases_in_rows_and_filters(api: Api, db: TableRows) -> None:
    acme = await people(db)
    await show(db, acme, "pseudonymous", label_keys=["project"])
    answer = await api.ask(f"{RUNS}?from=2026-11&to=2026-11")
    whose = {row["id"]: row["actor"] for row in answer.json()["rows"]}
    alias = whose["before"]["id"]
    assert re.fullmatch("Person [0-9A-F]{10}", alias)
    assert whose["before"] == whose["lent"] == {"kind": "user", "id": alias, "name": alias}
    assert whose["robot"] == {"kind": "service_account", "id": "robot", "name": "robot"}
    assert "moves" not in answer.text.lower()
    assert {row["id"] for row in (await api.get(f"{RUNS}?range=all&actor={quote(alias)}"))["rows"]} == {
        "before",
        "after",
        "lent",
    }
    assert (await api.get(f"{RUNS}?range=all&actor=moves"))["rows"] == []
    assert "moves" not in (await api.ask(path_of("before"))).text.lower()


async def test_groups_only_shows_of_no_run_whose_it_is(api: Api, db: TableRows) -> None:
    """A group of six with an agent that one of them uses: a run, a filter or a sum by agent would be about that person."""
    acme = await people(db)
    for number in range(6):
        who = await attribution(db, acme, f"ops-{number}", group="ops", labels={"project": f"p{number}"})
        at, agent = AT + timedelta(hours=number), "agt_own" if number == 0 else "agt_42"
        await run_use(db, acme, "org_acme", f"ops-run-{number}", f"o{number}", at, MICRO, attribution=who, agent=agent)
    await show(db, acme, "groups_only", label_keys=["project"])
    answer = await api.ask(f"{RUNS}?from=2026-11&to=2026-11")
    shown = answer.json()
    assert (shown["runs"], len(shown["rows"])) == (12, 12)
    shown["rows"] += [await api.get(path_of(run)) for run in ("before", "lent", "robot", "ops-run-0")]
    for row in shown["rows"]:
        assert (row["actor"], row["group"], row["labels"]) == (None, None, {}), row["id"]
    assert not re.search("moves|Person|a:b|Ops", answer.text)
    for query in (
        "actor=moves", "actor=robot", "group=ops", "group=all", "group=unknown", "label=project:p0", "label=unknown:x", "group=ops&agent=agt_own",
    ):  # fmt: skip
        refused = await api.ask(f"{RUNS}?from=2026-11&to=2026-11&{query}")
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/people-not-shown"), query
        assert "runs have no filter" in refused.json()["detail"]


async def test_a_run_has_its_uses_in_order_and_each_leads_to_its_receipt(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.feature(acme, "agents", "model", "gpt", "2026-01-01", "Models", "GPT")
    await db.agent(acme, "agt_42", "saved", "Quarterly report")
    for event, after, credits, corrected in (("e2", 1500, 2, -1), ("e1", 0, 5, None), ("e3", 61_000, 3, None)):
        await run_use(
            db, acme, "org_acme", "r", event, AT + timedelta(milliseconds=after), credits * MICRO, corrected=corrected and corrected * MICRO
        )  # fmt: skip
    await run_use(db, acme, "org_acme", "r", "e4", AT + timedelta(seconds=2), 0, held=True)
    run = await api.get(path_of("r"))
    assert (run["credits"], run["events"], run["rest"]) == ("9.000000", 3, {"credits": "0.000000", "events": 0})
    assert [(use["offset_ms"], use["state"], use["credits"], use["corrections"]) for use in run["uses"]] == [
        (0, "counted", "5.000000", "0.000000"), (1500, "counted", "2.000000", "-1.000000"),
        (2000, "held", None, "0.000000"), (61000, "counted", "3.000000", "0.000000"),
    ]  # fmt: skip
    receipts = [await api.get(f"/api/v1/receipt?key={use['receipt']}") for use in run["uses"]]
    assert [receipt["credits"] for receipt in receipts] == ["5.000000", "2.000000", None, "3.000000"]
    assert run["uses"][0] | {"receipt": ""} == {
        "at": "2026-11-05T10:00:00Z", "offset_ms": 0, "state": "counted", "product": "agents", "feature_kind": "model", "feature": "gpt",
        "feature_name": "GPT", "agent": {"id": "agt_42", "name": "Quarterly report", "status": "agent"}, "surface": "web",
        "credits": "5.000000", "corrections": "0.000000", "receipt": "",
    }  # fmt: skip


async def test_pages_of_a_run_have_each_use_once_and_sums_of_the_rest(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for number in range(13):
        at = AT + timedelta(seconds=number // 3)  # several at one time
        await run_use(db, acme, "org_acme", "r", f"e{number}", at, number * MICRO, corrected=-number * MICRO // 2)
    whole = await api.get(path_of("r"))
    uses: list[Any] = []
    cursor = ""
    while True:
        page = await api.get(path_of("r", f"?limit=4{cursor}"))
        of_page = sum(Decimal(use["credits"]) + Decimal(use["corrections"]) for use in page["uses"])
        assert of_page + Decimal(page["rest"]["credits"]) == Decimal(page["credits"]) == Decimal(whole["credits"])
        assert len(page["uses"]) + page["rest"]["events"] == page["events"] == 13
        uses += page["uses"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert uses == whole["uses"]
    assert len(uses) == 13


async def test_a_run_names_its_parent_and_its_children(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await run_use(db, acme, "org_acme", "root", "e1", AT, MICRO)
    await run_use(db, acme, "org_acme", "mid", "e2", AT, 2 * MICRO, parent="root")
    await run_use(db, acme, "org_acme", "leaf", "e3", AT, 3 * MICRO, parent="mid")
    await run_use(db, acme, "org_acme", "orphan", "e4", AT, 3 * MICRO, parent="unknown")
    await run_use(db, acme, "org_acme", "own", "e5", AT, 3 * MICRO, parent="own")
    mid = await api.get(path_of("mid"))
    assert mid["parent"] == {
        "id": "root", "key": run_identity_of("root").hex(), "credits": "1.000000", "events": 1, "first_at": "2026-11-05T10:00:00Z",
    }  # fmt: skip
    assert [(child["id"], child["credits"]) for child in mid["children"]] == [("leaf", "3.000000")]
    assert mid["children_not_listed"] == 0
    assert (await api.get(path_of("orphan")))["parent"] == {
        "id": "unknown", "key": run_identity_of("unknown").hex(), "credits": None, "events": 0, "first_at": None
    }  # fmt: skip
    assert (await api.get(path_of("own")))["children"] == []


@pytest.mark.parametrize(
    "run_id",
    ["a/b", "a?b=c#d", "100%", "%2F", " x ", "é漢字🙂", "..", "a/../b", ".", "x" * 128, "a+b&c", "/", "\\", '"'],
)
async def test_any_printable_id_is_found_by_path_or_key(api: Api, db: TableRows, run_id: str) -> None:
    acme = await db.organization()
    await run_use(db, acme, "org_acme", run_id, "e1", AT, MICRO)
    [row] = (await api.get(f"{RUNS}?range=all"))["rows"]
    assert row["id"] == run_id
    assert (await api.get(path_of(row["key"])))["id"] == run_id
    if run_id not in (".", ".."):  # clients remove these from a path, also if they are percent-encoded
        assert (await api.get(path_of(run_id)))["id"] == run_id


async def test_an_id_that_is_the_key_of_another_run_is_the_id(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    trace = run_identity_of("a").hex()
    await run_use(db, acme, "org_acme", "a", "e1", AT, MICRO)
    assert (await api.get(path_of(trace)))["id"] == "a"
    await run_use(db, acme, "org_acme", trace, "e2", AT, MICRO)
    assert (await api.get(path_of(trace)))["id"] == trace


async def test_an_unknown_run_is_a_problem(api: Api, db: TableRows) -> None:
    await db.organization()
    for run_id in ("nothing", "0" * 32, "00 " * 10 + "00", "\0", ""):
        answer = await api.ask(path_of(run_id))
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-run"), run_id


async def test_two_organizations_may_have_the_same_run(api: Api, db: TableRows) -> None:
    for name, credits in (("org_acme", 1), ("org_other", 2)):
        number = await db.organization(name)
        await run_use(db, number, name, "1", "e1", AT, credits * MICRO)
        await run_use(db, number, name, "2", "e2", AT, credits * MICRO, parent="1")
    for name, credits in (("org_acme", "1.000000"), ("org_other", "2.000000")):
        run = await api.get(path_of("1"), organization=name)
        assert [use["credits"] for use in run["uses"]] == [credits]
        assert [child["credits"] for child in run["children"]] == [credits]
