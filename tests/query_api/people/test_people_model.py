"""Random histories with people who move, leave, return and are erased: tables and every view equal a small model's."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from flexcredits_schemas.events import PRODUCTS
from support.data.people import GROUPS, LABEL_KEYS, LABELS, PEOPLE, SERVICE_ACCOUNTS
from support.data.random_history import FIRST, PERIODS, catalog_events, random_history, the_rate
from support.infra.stack import Database
from support.invariants.directory import Who
from support.invariants.reference_model import Counted, Model, total
from support.invariants.rollups import check_rollups
from support.services.aggregator import Aggregator
from support.services.query_api import Api

ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Los_Angeles")
VIEWS = ["person", "group", *LABEL_KEYS]


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture(params=ZONES)
async def known(request: pytest.FixtureRequest, database: Database) -> Model:
    """A history that the aggregator counted in overlapping pieces, with catalog events in random order between them."""
    chance = random.Random(request.param)
    model, log = random_history(chance, request.param, 300)
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        aggregator = Aggregator(pool)
        organization, *others = catalog_events(request.param)
        await aggregator.learn(organization)
        await aggregator.count_in_pieces(chance, log, others)
        await aggregator.learn(*the_rate())
        while await aggregator.release():
            pass
        await aggregator.count(*log.values())
    return model


Cells = Counter[tuple[Any, ...]]


def who_key(who: Who) -> tuple[Any, ...]:
    return who.actor_kind, who.actor, who.group, who.labels


async def test_who_used_what_and_in_which_run_is_the_models_and_adds_up_to_the_overview(
    owner: "asyncpg.Connection[asyncpg.Record]", api: Api, known: Model
) -> None:
    await check_rollups(owner)
    await check_days(owner, known)
    await check_runs(owner, known)
    await check_directory(owner, known)
    check_model(known)
    for query, days in RANGES.items():
        overview = await api.get("/api/v1/overview")
        uses = known.within(*days)
        if query == "credit_period=current":
            assert micro(overview["credits_used"]) == total(uses)
        for membership in ("then", "now"):
            for view in VIEWS:
                by = f"by={view}" if view in ("person", "group") else f"by=label&label_key={view}"
                answer = await api.get(f"/api/v1/usage/people?{by}&membership={membership}&{query}")
                assert rows_of(answer) == not_empty(known.by_who(view, uses, as_now=membership == "now")), (view, query)
                assert (micro(answer["total"]), answer["events"]) == sums_of(uses), (view, query)
        await check_run_rows(api, known, query, days)
    await check_filters(api, known)
    await check_reconciliation(owner, api, known)
    for mode in ("pseudonymous", "groups_only"):
        await owner.execute("UPDATE organizations SET people = $1", mode)
        await check_mode(api, known, mode)


RANGES = {
    "credit_period=current": (date(2026, 11, 1), date(2027, 1, 31)),
    "from=2026-09&to=2026-11": (date(2026, 9, 1), date(2026, 11, 30)),
    "from=2026-10-25&to=2026-10-25": (date(2026, 10, 25), date(2026, 10, 25)),
    "from=2026-09-20&to=2026-11-01": (date(2026, 9, 20), date(2026, 11, 1)),
    "range=all": (date(2020, 1, 1), date(2030, 1, 1)),
}
MODEL_KINDS = {
    "person": "user", "no_group": "no group", "no_value": "no value", "value": "label", "own": "group",
}  # fmt: skip
"""Kinds of the API's rows that the model names otherwise."""
COMBINED = ("removed", "unattributed", "no group", "no value")
Rows = dict[tuple[str, str], tuple[int, int]]


def micro(text: str) -> int:
    return int(Decimal(text).scaleb(6))


def sums_of(uses: Iterable[Counted]) -> tuple[int, int]:
    uses = list(uses)
    return total(uses), sum(use.is_use for use in uses)


def not_empty(rows: Rows) -> Rows:
    return {key: sums for key, sums in rows.items() if any(sums)}


def rows_of(answer: dict[str, Any]) -> Rows:
    """The rows without other rows in them. Rows with others are the sums of those."""
    found: Rows = {}

    def add(row: dict[str, Any]) -> tuple[int, int]:
        sums = micro(row["credits"]), row["events"]
        if row["rows"]:
            inside = [add(child) for child in row["rows"]]
            assert sums == (sum(credits for credits, _ in inside), sum(events for _, events in inside)), row
        else:
            kind = MODEL_KINDS.get(row["kind"], row["kind"])
            key = kind, "" if kind in COMBINED else row["id"]
            assert key not in found, key
            found[key] = sums
        return sums

    everything = [add(row) for row in (*answer["pinned"], *answer["rows"])]
    assert answer["next"] is None
    assert micro(answer["total"]) == sum(credits for credits, _ in everything)
    assert answer["events"] == sum(events for _, events in everything)
    return not_empty(found)


async def check_run_rows(api: Api, known: Model, query: str, days: tuple[date, date]) -> None:
    """Runs belong to the day of their first use. With the usage of no run, all of them add up to the total."""
    expected = {
        name: run
        for name, run in known.runs().items()
        if days[0] <= run.first_at.astimezone(known.zone).date() <= days[1]
    }
    answer = await api.get(f"/api/v1/usage/runs?{query}&limit=200")
    assert {row["id"]: (micro(row["credits"]), row["events"]) for row in answer["rows"]} == {
        name: (run.micro, run.uses) for name, run in expected.items()
    }
    assert micro(answer["credits"]) == sum(run.micro for run in expected.values())
    assert micro(answer["credits"]) == sum(micro(agent["credits"]) for agent in answer["agents"])
    if query == "range=all":
        without = total(use for use in known.counted if not use.who.run)
        assert micro(answer["credits"]) + without == total(known.counted)


async def check_reconciliation(owner: "asyncpg.Connection[asyncpg.Record]", api: Api, known: Model) -> None:
    """Each row has the model's credits and, within a micro-credit, its proportion of the overage."""
    await owner.execute("UPDATE credit_periods SET total = 1000000")
    for period, begins, ends in PERIODS:
        uses = known.within(date.fromisoformat(begins), date.fromisoformat(ends) - timedelta(days=1))
        over = total(uses) - 1_000_000
        assert over > 0
        for view, now in (("person", False), ("group", False), ("group", True)):
            path = f"/api/v1/reconcile/people?credit_period={period}&by={view}&membership={'now' if now else 'then'}"
            answer = await api.get(path)
            leaves: dict[tuple[str, str], tuple[int, int]] = {}
            rows = [*answer["rows"], *answer["pinned"]]
            while rows:
                row = rows.pop()
                rows += row["rows"]
                kind = MODEL_KINDS.get(row["kind"], row["kind"])
                if not row["rows"]:
                    leaves[kind, "" if kind in COMBINED else row["id"]] = micro(row["credits"]), micro(row["overage"])
            expected = {row: credits for row, (credits, _) in known.by_who(view, uses, as_now=now).items() if credits}
            assert {row: credits for row, (credits, _) in leaves.items() if credits} == expected, (period, view)
            assert sum(overage for _, overage in leaves.values()) == micro(answer["overage"]) == over
            assert all(abs(more * total(uses) - over * own) < total(uses) for own, more in leaves.values())


async def check_filters(api: Api, known: Model) -> None:
    """Filters keep what the model keeps. A group includes the groups below it, then or now."""
    path, uses = "/api/v1/usage/people?range=all", known.counted
    for actor in (PEOPLE[0], SERVICE_ACCOUNTS[0]):
        answer = await api.get(f"{path}&by=group&actor={actor}")
        shown = () if known.directory.is_removed(actor) else uses  # of removed people only the sum is shown
        assert (micro(answer["total"]), answer["events"]) == sums_of(use for use in shown if use.who.actor == actor)
        await check_hours(api, known, [use for use in shown if use.who.actor == actor], f"actor={quote(actor)}")
    for group in GROUPS:
        for now in (False, True):
            answer = await api.get(f"{path}&group={group}&membership={'now' if now else 'then'}")
            inside = [use for use in uses if is_below(known, use, group, as_now=now)]
            assert (micro(answer["total"]), answer["events"]) == sums_of(inside), (group, now)
            await check_deleted_agents(api, known, inside, f"group={group}&membership={'now' if now else 'then'}")
            await check_hours(api, known, inside, f"group={group}&membership={'now' if now else 'then'}")
    for key in LABEL_KEYS:
        for value in LABELS[key]:
            answer = await api.get(f"{path}&label={quote(f'{key}:{value}')}")
            kept = [use for use in uses if (key, value) in use.who.labels]
            assert (micro(answer["total"]), answer["events"]) == sums_of(kept), value
            await check_deleted_agents(api, known, kept, f"label={quote(f'{key}:{value}')}")
            await check_hours(api, known, kept, f"label={quote(f'{key}:{value}')}")


HOURS = {
    "from=2026-10-25&to=2026-10-25": (date(2026, 10, 25), date(2026, 10, 25)),
    "from=2026-10&to=2026-10": (date(2026, 10, 1), date(2026, 10, 31)),
}


async def check_hours(api: Api, known: Model, kept: Sequence[Counted], who: str) -> None:
    """Each hour has the model's uses, as the chart of days does in sum."""
    for query, (first, last) in HOURS.items():
        inside = [use for use in kept if first <= known.day(use) <= last]
        for group_by, interval in (("product", "hour"), ("feature", "15m" if first == last else "hour")):
            path = f"/api/v1/trend?{query}&{who}&group_by={group_by}"
            answer = await api.get(f"{path}&interval={interval}")
            days = await api.get(f"{path}&interval=day")
            assert (micro(answer["total"]), answer["events"]) == sums_of(inside), (who, query)
            assert (days["total"], days["events"]) == (answer["total"], answer["events"])
            for bucket in answer["buckets"]:
                start_at, end_at = (datetime.fromisoformat(bucket[name]) for name in ("start_at", "end_at"))
                uses = [use for use in inside if start_at <= use.at < end_at]
                assert (micro(bucket["total"]), bucket["events"]) == sums_of(uses), (who, bucket)
            if group_by == "product":
                assert {line["product"]: micro(line["total"]) for line in answer["series"]} == {
                    product: total(use for use in inside if use.product == product) for product in PRODUCTS
                }


async def check_hours_of_groups(api: Api, known: Model) -> None:
    """While only groups are shown: the model's hours, or a refusal."""
    for group in GROUPS:
        path = f"/api/v1/trend?from=2026-10&to=2026-10&interval=hour&group={group}"
        answer = await api.ask(path)
        if answer.status_code != 403:
            uses = known.within(date(2026, 10, 1), date(2026, 10, 31))
            expected = sums_of(use for use in uses if is_below(known, use, group, as_now=False))
            assert (micro(answer.json()["total"]), answer.json()["events"]) == expected, group


async def check_deleted_agents(api: Api, known: Model, kept: Iterable[Counted], query: str) -> None:
    """Those of the table of agents under the same filters."""
    answer = await api.get(f"/api/v1/deleted-agents?range=all&{query}")
    deleted = {agent for agent, (state, _) in known.agents.items() if state == "deleted"}
    kept = [use for use in kept if use.product == "agents" and use.agent in deleted]
    assert (micro(answer["total"]), answer["events"]) == sums_of(kept), query
    assert micro(answer["total"]) == sum(micro(agent["credits"]) for agent in answer["agents"])


def is_below(known: Model, use: Counted, group: str, *, as_now: bool) -> bool:
    kind, own = known.who_row("group", use, as_now=as_now)
    return kind == "group" and group in known.directory.path(own)


async def check_mode(api: Api, known: Model, mode: str) -> None:
    """What the organization shows of people changes no sum."""
    for view in ("person", "group") if mode == "pseudonymous" else ("group",):
        answer = await api.get(f"/api/v1/usage/people?by={view}&range=all")
        assert (micro(answer["total"]), answer["events"]) == sums_of(known.counted), (view, mode)
        text = json.dumps(answer)
        assert not any(person in text for person in PEOPLE)
        if mode == "pseudonymous":
            shown = sorted(rows_of(answer).values())
            assert shown == sorted(not_empty(known.by_who(view, known.counted)).values())
        else:
            rows_of(answer)
            await check_hours_of_groups(api, known)


async def check_days(owner: "asyncpg.Connection[asyncpg.Record]", known: Model) -> None:
    stored, expected = Cells(), Cells()
    for row in await owner.fetch(
        "SELECT day, actor_kind, actor_id, group_id, labels, product, feature_kind, feature, agent_id, surface, credits, events"
        " FROM usage_attributed_daily JOIN usage_attributions USING (attribution_id) JOIN usage_series USING (series_id)"
    ):
        day, kind, actor, group, labels, *series, micro, uses = row
        key = day, kind, actor, group, tuple(sorted(json.loads(labels).items())), *series
        stored[*key, "credits"] += micro
        stored[*key, "events"] += uses
    for use in known.counted:
        if use.who.is_attributed:
            key = known.day(use), *who_key(use.who), use.product, use.kind, use.feature, use.agent, use.surface
            expected[*key, "credits"] += use.micro
            expected[*key, "events"] += use.is_use
    assert +stored == +expected


async def check_runs(owner: "asyncpg.Connection[asyncpg.Record]", known: Model) -> None:
    rows = await owner.fetch("SELECT * FROM usage_runs LEFT JOIN usage_attributions USING (attribution_id)")
    expected = known.runs()
    assert {row["run_id"] for row in rows} == expected.keys()
    for row in rows:
        run = expected[row["run_id"]]
        assert (row["credits"], row["events"], row["first_at"], row["last_at"]) == run[:4], row["run_id"]
        assert (row["agent_id"], row["parent_id"]) == (run.agent, run.parent)
        labels = tuple(sorted(json.loads(row["labels"] or "{}").items()))
        first = row["actor_kind"] or "", row["actor_id"] or "", row["group_id"] or "", labels
        assert first in {who_key(who) for who in run.firsts}, row["run_id"]


async def check_directory(owner: "asyncpg.Connection[asyncpg.Record]", known: Model) -> None:
    """Removed people, and the groups of each person on each day."""
    directory = known.directory
    rows = await owner.fetch("SELECT actor_id, removed, display_name, email FROM actors")
    assert {row["actor_id"]: row["removed"] for row in rows} == {
        its.actor: directory.is_removed(its.actor) for its in directory.events
    }
    erased = {its.actor for its in directory.events if its.erased}
    assert {row["actor_id"] for row in rows if row["display_name"] is None and row["email"] is None} == erased
    parents = await owner.fetch("SELECT group_id, coalesce(parent_id, '') FROM people_groups")
    assert {row[0]: row[1] for row in parents} == directory.parents
    for number in range(-20, 90):
        day = FIRST + timedelta(days=number)
        groups = await owner.fetch(
            "SELECT DISTINCT ON (actor_id) actor_id, coalesce(groups[1], '') FROM actor_groups"
            " ORDER BY actor_id, effective_from <= $1 DESC, CASE WHEN effective_from <= $1 THEN effective_from END DESC, effective_from",
            day,
        )
        found = {row[0]: row[1] for row in groups}
        for actor in (*PEOPLE, *SERVICE_ACCOUNTS):
            assert found.get(actor, "") == directory.first_group(actor, day), (actor, day)


def check_model(known: Model) -> None:
    """The history contains what it is for, and each view of the model has all of its usage."""
    everything = total(known.counted)
    views = {(view, now): known.by_who(view, known.counted, as_now=now) for view in VIEWS for now in (False, True)}
    for rows in views.values():
        assert sum(micro for micro, _ in rows.values()) == everything
    kinds = {kind for rows in views.values() for kind, _ in rows}
    assert kinds == {
        "user", "service_account", "removed", "unattributed", "group", "no group", "label", "no value",
    }  # fmt: skip
    assert views["group", False] != views["group", True]
    assert {len(known.directory.path(group)) for group in known.directory.parents} == {1, 2}
