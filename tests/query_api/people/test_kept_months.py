"""While only groups are shown: months are kept by version. Answers are those of a process that keeps nothing."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from query_api.attributions.book import BookKey, Books
from query_api.attributions.cells import Split, read_published
from query_api.attributions.domain.tally import key_by_group, key_by_value
from query_api.attributions.months import Kept, View, read_kept, read_versions
from query_api.attributions.queries import select_attributions, select_people_groups, select_people_version
from query_api.calendar import Days
from query_api.db.cache import VersionedCache
from query_api.db.session import read_as
from query_api.db.statements import SQL
from runtime.postgres.pool import Pool, open_pool
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.infra.stack import Database
from support.services.query_api import NOW, Api, OpenApi

VIEWS = ("by=group", "by=label&label_key=project")
RANGES = (
    "from=2026-11&to=2026-11", "from=2026-10&to=2026-10", "from=2026-09&to=2026-11", "range=all", "from=2026-09-20&to=2026-11-10",
    "from=2026-11-01&to=2026-11-22", "from=2026-11&to=2026-11&surface=web", "from=2026-10&to=2026-11&agent=a1",
)  # fmt: skip
PATHS = [
    *(f"/api/v1/usage/people?{view}&{days}" for view in VIEWS for days in RANGES),
    "/api/v1/usage/people?by=group&from=2026-09&to=2026-11&group=large",
    "/api/v1/usage/people?by=label&label_key=project&from=2026-10&to=2026-10&label=project:x",
    "/api/v1/usage/drivers?by=group&from=2026-10&to=2026-11", "/api/v1/reconcile/people?by=group",
]  # fmt: skip


NO_SPLIT = Split(frozenset())


class Watched(NamedTuple):
    """An API, the statements that read usage of attributions or attributions, with their values, and what opens another API."""

    api: Api
    read: list[tuple[str, tuple[Any, ...]]]
    open: OpenApi
    pool: Pool


def dates_in(values: Any) -> list[date]:
    """Without the ends of spans of all time."""
    if isinstance(values, date):
        return [values] if date.min < values < date.max else []
    return [each for value in values for each in dates_in(value)] if isinstance(values, list | tuple) else []


@pytest.fixture
async def watched(open_api: OpenApi, database: Database) -> AsyncIterator[Watched]:
    names, read = {text: name for name, text in SQL.items()}, list[tuple[str, tuple[Any, ...]]]()

    def on_statement(ended: Any) -> None:
        if "usage_attributed_" in ended.query or "shown_attributions" in ended.query:
            read.append((names[ended.query], tuple(ended.args)))

    pool = open_pool(
        database.roles["flexcredits_api"], application="test", size=2, at_least=0, statement_timeout_s=10, on_statement=on_statement
    )  # fmt: skip
    async with pool as opened, open_api(opened) as api:
        yield Watched(api, read, open_api, opened)


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    """Groups of many, of exactly five, of four and of one; members by date and by event; projects; three months."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only", ["project"])
    for group, parent in (("large", None), ("five", "large"), ("four", None), ("other", None)):
        await rows.group(group, parent=parent)
    chance = random.Random(1)
    for group, people in (("large", 9), ("five", 5), ("four", 4), ("other", 7)):
        for number in range(people):
            actor = f"{group}-{number}"
            await rows.actor(actor)
            if number % 2:
                await rows.member(actor, "2026-01-01", group)
            for month in (9, 10, 11):
                await rows.use(
                    actor, f"2026-{month:02}-{chance.randint(1, 22):02}", chance.randint(1, 99), group="" if number % 2 else group,
                    labels={"project": chance.choice("xyz")}, agent=chance.choice(["a1", "a2"]),
                    surface=chance.choice(["web", "slack"]),
                )  # fmt: skip
    await rows.use("robot", "2026-10-04", 7, kind="service_account")
    await rows.use("", "2026-11-04", 9)
    return rows


async def answers(api: Api) -> dict[str, tuple[int, Any]]:
    found = {}
    for path in PATHS:
        answer: httpx.Response = await api.ask(path)
        assert answer.status_code in (200, 403, 422), answer.text
        found[path] = answer.status_code, answer.json()
    return found


async def use_today(rows: PeopleRows) -> None:
    await rows.use("large-1", "2026-11-22", 5, labels={"project": "x"}, agent="a1")


async def use_of_an_earlier_month(rows: PeopleRows) -> None:
    await rows.use("large-1", "2026-09-22", 5, labels={"project": "x"}, agent="a1")


async def use_by_a_new_person(rows: PeopleRows) -> None:
    await rows.use("four-4", "2026-11-20", 5, group="four", labels={"project": "new"})


async def correct_all_of_one(rows: PeopleRows) -> None:
    """Then four people are left in the group of five."""
    used = await rows.db.fetch(
        "SELECT d.day, d.credits, s.agent_id, s.surface, a.group_id, a.labels FROM usage_attributed_daily d"
        " JOIN usage_attributions a USING (attribution_id) JOIN usage_series s USING (series_id)"
        " WHERE a.actor_id = 'five-0' AND d.day BETWEEN '2026-10-01' AND '2026-10-31'"
    )
    for row in used:
        labels = {"project": row["labels"].split('"')[3]}
        await rows.use(
            "five-0", f"{row['day']}", -row["credits"], group=row["group_id"], labels=labels, agent=row["agent_id"],
            surface=row["surface"], events=0,
        )  # fmt: skip
    assert used


async def correct_nothing_in_sum(rows: PeopleRows) -> None:
    """The credits of the month stay, but not whose they are; only the number of corrections says so."""
    for group, credits in (("five", 50), ("large", -50)):
        labels = {"project": "x"}
        await rows.use(f"{group}-0", "2026-10-09", credits, group=group, labels=labels, agent="a1", events=0)
    await rows.db.execute(
        "INSERT INTO usage_corrections SELECT $1, '2026-10-09', min(series_id), 0, 2 FROM usage_series WHERE organization_id = $1",
        rows.organization,
    )


async def move_a_person(rows: PeopleRows) -> None:
    """Days from the date on are the other group's, also in months that are over."""
    await rows.member("five-1", "2026-10-01", "other")
    await rows.db.execute("UPDATE actor_groups SET event_offset = 1000 WHERE actor_id = 'five-1'")


async def remove_a_person(rows: PeopleRows) -> None:
    await rows.actor("five-0", removed=True)


async def erase_a_person(rows: PeopleRows) -> None:
    await rows.actor("five-0", removed=True, erased=True)


async def move_a_group(rows: PeopleRows) -> None:
    await rows.db.execute("UPDATE people_groups SET parent_id = 'other', event_offset = 100 WHERE group_id = 'five'")


async def declare_no_label(rows: PeopleRows) -> None:
    await rows.configure("groups_only", [])


async def show_names(rows: PeopleRows) -> None:
    await rows.configure("named", ["project"])


async def apply_late(rows: PeopleRows) -> None:
    await rows.db.execute("UPDATE actor_groups SET groups = '{other}' WHERE actor_id LIKE 'five-%'")
    await rows.db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", rows.organization)


CHANGES = [
    use_today, use_of_an_earlier_month, use_by_a_new_person, correct_all_of_one, correct_nothing_in_sum, move_a_person, remove_a_person,
    erase_a_person, move_a_group, declare_no_label, show_names, apply_late,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
async def test_answers_after_a_change_are_those_of_a_process_that_keeps_nothing(
    watched: Watched, acme: PeopleRows, change: Any
) -> None:
    before = await answers(watched.api)
    assert await answers(watched.api) == before  # from memory
    await change(acme)
    after = await answers(watched.api)
    async with watched.open() as new:
        assert after == await answers(new)
    if change not in (remove_a_person, erase_a_person):  # groups include removed people
        assert after != before


@pytest.mark.parametrize("days", RANGES)
@pytest.mark.parametrize("view", VIEWS)
async def test_only_the_months_that_changed_are_read_again(
    watched: Watched, acme: PeopleRows, view: str, days: str
) -> None:
    path = f"/api/v1/usage/people?{view}&{days}"
    await watched.api.ask(path)
    assert watched.read
    watched.read.clear()
    await watched.api.ask(path)
    assert watched.read == []
    await use_today(acme)
    await watched.api.ask(path)
    assert bool(watched.read) == (days != "from=2026-10&to=2026-10")
    assert {day.replace(day=1) for _, values in watched.read for day in dates_in(values)} <= {date(2026, 11, 1)}


@pytest.mark.parametrize("days", ["from=2026-09&to=2026-11", "from=2026-09-20&to=2026-11-10"])
async def test_requests_at_once_read_months_once(watched: Watched, acme: PeopleRows, days: str) -> None:
    path = f"/api/v1/usage/people?by=group&{days}"
    asked = await asyncio.gather(*(watched.api.ask(path) for _ in range(4)))
    assert len({answer.text for answer in asked}) == 1
    at_once = sorted(name for name, _ in watched.read)
    watched.read.clear()
    async with watched.open() as new:
        expected = await new.ask(path)
    assert asked[0].text == expected.text
    async with watched.open(watched.pool) as alone:
        watched.read.clear()
        await alone.ask(path)
    assert sorted(name for name, _ in watched.read) == at_once


async def test_attributions_of_whole_months_are_read_once(watched: Watched, acme: PeopleRows) -> None:
    path = "/api/v1/usage/people?by=group&from=2026-11&to=2026-11"
    await use_today(acme)
    await watched.api.ask(path)
    await use_today(acme)
    watched.read.clear()
    await watched.api.ask(path)
    assert [name for name, _ in watched.read] == ["read_attributed_months"]
    await use_by_a_new_person(acme)
    watched.read.clear()
    await watched.api.ask(path)
    assert [name for name, _ in watched.read] == ["read_attributed_months", "select_attributions"]
    new = await acme.db.fetch("SELECT attribution_id FROM usage_attributions WHERE actor_id = 'four-4'")
    assert watched.read[1][1][-1] == [row["attribution_id"] for row in new]


@pytest.mark.parametrize("view", VIEWS)
async def test_what_is_kept_of_a_month_changes_when_usage_dated_tomorrow_begins_to_count(
    watched: Watched, db: TableRows, view: str
) -> None:
    """Nothing is written at midnight. Else the days before that usage could be subtracted from the month: here the rest is one person's."""
    rows = PeopleRows(db, await db.organization())
    await rows.configure("groups_only", ["project"])
    for number in range(9):
        for row in ("ten", "large"):
            await rows.use(f"{row}-{number}", "2026-11-05", 10, group=row, labels={"project": row})
    await rows.use("ten-0", "2026-11-23", 777, group="ten", labels={"project": "ten"})
    for days, is_shown in (("2026-11-30", (True, True)), ("2026-11-20", (True, False))):
        for when, shown in enumerate(is_shown):
            watched.api.now = NOW + timedelta(days=when)
            async with watched.open() as new:
                new.now = watched.api.now
                path = f"/api/v1/usage/people?{view}&from=2026-11-01&to={days}"
                asked, expected = await watched.api.get(path), await new.get(path)
            assert asked == expected, path
            assert shown == ("ten" in {row["id"] for row in asked["rows"]}), path


def rows_of(answer: Any) -> list[tuple[Any, ...]]:
    return [(row["kind"], row["id"], row["credits"], row["events"], row["people"]) for row in answer["rows"]]


async def test_usage_dated_tomorrow_is_subtracted_from_the_month(watched: Watched, acme: PeopleRows) -> None:
    """The daily rows of all other days of 20,000 people would take seconds. A range that ends today is the same month."""
    for number in range(9):
        await acme.use(f"tomorrow-{number}", "2026-11-23", 777, group="tomorrow")
    await acme.use("large-0", "2026-11-23", 777, group="large")
    path = "/api/v1/usage/people?by=group&from=2026-09"
    answer = await watched.api.get(f"{path}&to=2026-11")
    assert {name for name, _ in watched.read} == {"read_attributed_months", "sum_attributions", "select_attributions"}
    assert "tomorrow" not in {row["id"] for row in answer["rows"]}
    watched.read.clear()
    until_today = await watched.api.get(f"{path}-01&to=2026-11-22")
    assert watched.read == []
    assert rows_of(until_today) == rows_of(answer)


async def test_a_group_that_falls_below_five_is_not_shown_from_memory(watched: Watched, acme: PeopleRows) -> None:
    path = "/api/v1/usage/people?by=group&from=2026-10&to=2026-10"
    for _ in range(2):
        assert '"five"' in (await watched.api.ask(path)).text
    await correct_all_of_one(acme)
    assert '"five"' not in (await watched.api.ask(path)).text


async def test_no_organization_gets_what_is_kept_for_another(watched: Watched, acme: PeopleRows) -> None:
    other = PeopleRows(acme.db, await acme.db.organization("org_other"))
    await other.configure("groups_only", ["project"])
    await acme.db.execute("UPDATE organizations SET event_offset = 1")
    for number in range(5):
        await other.actor(f"o{number}")
        await other.use(f"o{number}", "2026-10-01", 1, group="secret", labels={"project": "secret"})
    for path in PATHS:
        ours, theirs = await watched.api.ask(path), await watched.api.ask(path, organization="org_other")
        assert "secret" not in ours.text
        assert "large" not in theirs.text.replace("group=large", "")


@pytest.mark.parametrize("seed", range(4))
async def test_whole_months_are_those_that_the_statements_of_cells_add_up(
    pool: Pool, acme: PeopleRows, seed: int
) -> None:
    """With people who moved, whose usage is cancelled or whose number is unknown, with service accounts, and usage of tomorrow."""
    chance, today = random.Random(seed), date(2026, 11, 22)
    for _ in range(80):
        actor = f"{chance.choice(['large', 'five', 'four', 'other'])}-{chance.randint(0, 6)}"
        kind = chance.choice(["user"] * 8 + ["service_account", "other"])
        day, credits = f"2026-{chance.randint(9, 11):02}-{chance.randint(1, 22 + seed % 2):02}", chance.randint(1, 9)
        labels = {} if chance.random() < 0.3 else {"project": chance.choice("xyz")}
        group = chance.choice(["", "", "five", "new"])
        actor = "" if kind == "other" else actor
        for each in [credits] if chance.random() < 0.6 else [credits, -credits]:
            await acme.use(actor, day, each, group=group, labels=labels, kind=kind, events=int(each > 0))
    for number in range(1, 9, 2):
        await acme.member(f"large-{number}", f"2026-10-{chance.randint(1, 28):02}", chance.choice(["five", "other"]))
    async with read_as(pool, "org_acme", "") as session:
        groups = await select_people_groups(session)
        for by, key_of, label_key in (("group", key_by_group, None), ("label", key_by_value, "project")):
            spans = await select_attributions(session, "then" if by == "group" else "none", today, label_key=label_key)
            key = BookKey(acme.organization, by, "then" if by == "group" else None, label_key, None)
            view = View(key, key_of, groups if by == "group" else None)
            for days in (Days(date(2026, 10, 1), date(2026, 10, 31)), Days(date(2026, 9, 1), date(2026, 11, 30))):
                expected = await read_published(session, spans, key_of, view.groups, days, today, None, NO_SPLIT)
                kept = Kept(Books(), VersionedCache())
                versions = await read_versions(session, await select_people_version(session), [days], today)
                for _ in range(2):
                    assert await read_kept(session, kept, view, versions, days, today, None, NO_SPLIT) == expected
