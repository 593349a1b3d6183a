"""Random histories of people through the aggregator: every view and filter equals a small model, also while more is counted."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from support.data.factories import correction, event, organization, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator
from support.services.query_api import Api

BEGIN = datetime(2026, 9, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACTORS, GROUPS = [f"u{n}" for n in range(9)], ["sales", "emea", "rnd", "a", "b", "unknown"]
PARENTS = {"sales": None, "emea": "sales", "rnd": None, "a": "b", "b": "a"}
"""a and b form a cycle, so both are roots; `unknown` is not in the directory."""
RANGES = ["from=2026-10&to=2026-10", "from=2026-11&to=2026-11", "from=2026-10-07&to=2026-11-18", "range=all"]


class Counted(NamedTuple):
    day: date
    product: str
    kind: str
    actor: str
    group: str
    labels: dict[str, str]
    credits: int
    events: int


class Model:
    """Usage and directory as sent."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.counted: list[Counted] = []
        self.memberships: dict[str, dict[date, str]] = {}
        self.removed: set[str] = set()

    def group_then(self, use: Counted) -> str:
        return use.group or self.member_on(use.actor, use.day)

    def group_now(self, use: Counted) -> str:
        return self.member_on(use.actor, NOW.astimezone(self.zone).date()) or use.group

    def member_on(self, actor: str, day: date) -> str:
        entries = self.memberships.get(actor, {})
        before = [since for since in entries if since <= day]
        return entries[max(before) if before else min(entries)] if entries else ""

    def row(self, use: Counted, by: str, membership: str) -> tuple[str, str]:
        if by == "label":
            value = use.labels.get("project")
            return ("value", value) if value else ("no_value", "no_value")
        if by == "group":
            group = self.group_then(use) if membership == "then" else self.group_now(use)
            if group:
                return "group", group
            return ("no_group", "no_group") if use.actor else ("unattributed", "unattributed")
        if not use.actor:
            return "unattributed", "unattributed"
        if use.actor in self.removed:
            return "removed", "removed"
        return "person" if use.kind == "user" else "service_account", use.actor

    def sums(self, first: date, last: date, by: str, membership: str) -> dict[tuple[str, str], int]:
        rows = Counter[tuple[str, str]]()
        for use in self.counted:
            if first <= use.day <= last:
                rows[self.row(use, by, membership)] += use.credits
        return {row: credits for row, credits in rows.items() if credits}


def below(group: str) -> set[str]:
    return {group} | {"emea"} if group == "sales" else {group}


def history(chance: random.Random, model: Model, size: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Catalog events, and usage with corrections; the model knows both."""
    catalog, used = [], []
    for _ in range(size // 8):
        actor, since = chance.choice(ACTORS), BEGIN.date() + timedelta(days=chance.randrange(70))
        if since in model.memberships.get(actor, {}):
            continue
        groups = chance.sample(GROUPS, chance.randrange(3))
        model.memberships.setdefault(actor, {})[since] = groups[0] if groups else ""
        catalog.append(
            {"id": actor, "display_name": f"Name of {actor}", "groups": groups, "effective_from": f"{since}"}
        )
    for actor in chance.sample(ACTORS, 1):
        model.removed.add(actor)
        catalog.append({"id": actor, "removed": True, "erased": chance.random() < 0.5})
    for _ in range(size):
        at = BEGIN + timedelta(seconds=chance.randrange(int((NOW - BEGIN).total_seconds())))
        data: dict[str, Any] = {
            "product": chance.choice(["assistant", "agents"]),
            "credits": f"{chance.randrange(1, 9)}",
        }
        kind, actor, group, labels = "", "", "", {}
        if chance.random() < 0.7:
            kind, actor = "user", chance.choice(ACTORS)
            if chance.random() < 0.1:
                kind, actor = "service_account", "robot"
            data["actor"] = {"id": actor, "kind": kind}
        if chance.random() < 0.2:
            group = data["group"] = chance.choice(GROUPS)
        if chance.random() < 0.4:
            labels = data["labels"] = {"project": chance.choice("xyz"), "hidden": "secret"}
        sent = usage(envelope={"time": rfc3339(at)}, **data)
        used.append(sent)
        counted = Counted(
            at.astimezone(model.zone).date(),
            data["product"],
            kind,
            actor,
            group,
            labels,
            int(data["credits"]) * 10**6,
            1,
        )
        model.counted.append(counted)
        if chance.random() < 0.15:
            used.append(correction(sent, "-0.500000", time=rfc3339(at)))
            model.counted.append(counted._replace(credits=-500_000, events=0))
    return [event("flexcredits.actor.v1", actor) for actor in catalog], used


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


def micro(text: str) -> int:
    return int(text.replace(".", ""))


def leaves(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Credits of the rows without rows inside them; usage of a group itself counts as the group's."""
    found = Counter[tuple[str, str]]()
    for row in rows:
        if row["rows"]:
            assert micro(row["credits"]) == sum(micro(each["credits"]) for each in row["rows"])
            found += leaves(row["rows"])
        else:
            found["group" if row["kind"] == "own" else row["kind"], row["id"]] += micro(row["credits"])
    return found


async def check(api: Api, model: Model) -> None:
    for dates in RANGES:
        for by in ("person", "group&membership=then", "group&membership=now", "label&label_key=project"):
            answer = await api.get(f"/api/v1/usage/people?{dates}&by={by}&limit=1000")
            days = (date.fromisoformat(answer["range"]["from"]), date.fromisoformat(answer["range"]["to"]))
            kind, _, membership = by.partition("&membership=")
            expected = model.sums(*days, kind.partition("&")[0], membership)
            shown = leaves([*answer["rows"], *answer["pinned"]])
            assert {row: credits for row, credits in shown.items() if credits} == expected, (dates, by)
            inside = [use for use in model.counted if days[0] <= use.day <= days[1]]
            assert micro(answer["total"]) == sum(use.credits for use in inside)
            assert answer["events"] == sum(use.events for use in inside)
            assert answer["people"] == len({use.actor for use in inside if use.kind == "user"})
        for who, matches in (
            ("actor=u1", lambda use: use.actor == "u1"),
            ("label=project:x", lambda use: use.labels.get("project") == "x"),
            ("group=sales", lambda use: model.group_then(use) in below("sales")),
            ("group=sales&membership=now", lambda use: model.group_now(use) in below("sales")),
        ):
            expected_credits = sum(use.credits for use in inside if matches(use))
            for path in ("usage/people?by=person", "trend?group_by=product"):
                assert micro((await api.get(f"/api/v1/{path}&{dates}&{who}"))["total"]) == expected_credits, (
                    dates,
                    who,
                )
            of_agents = sum(use.credits for use in inside if matches(use) and use.product == "agents")
            breakdown = await api.get(f"/api/v1/breakdown?product=agents&view=agents&{dates}&{who}")
            assert micro(breakdown["total"]) == of_agents


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu"])
async def test_views_equal_the_model_also_while_more_is_counted(aggregator: Aggregator, api: Api, zone: str) -> None:
    chance, model, offset = random.Random(zone), Model(zone), 0
    company = organization(time_zone=zone)
    company["data"] |= {"label_keys": ["project"]}
    groups = [
        event("flexcredits.group.v1", {"id": group, "name": group} | ({"parent": parent} if parent else {}))
        for group, parent in PARENTS.items()
    ]
    await aggregator.learn(company, *groups)
    for size in (80, 40):  # the second part meets what the API has kept of the first
        catalog, used = history(chance, model, size)
        await aggregator.learn(*catalog)
        await aggregator.count(records(used, first=offset))
        offset += len(used)
        await check(api, model)
