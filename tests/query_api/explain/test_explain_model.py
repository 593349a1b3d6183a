"""Random histories through the aggregator: the parts add up to the change, and are what a straight computation from events says."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from support.data.random_history import FIRST, NOW, catalog_events, random_history, the_rate
from support.data.table_rows import TableRows
from support.infra.stack import Database
from support.invariants.reference_model import Counted, Model, total
from support.services.aggregator import Aggregator
from support.services.query_api import Api

ZONES = ("Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Australia/Lord_Howe")
LAST = NOW.date()


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


@pytest.fixture(params=ZONES)
async def known(request: pytest.FixtureRequest, aggregator: Aggregator) -> Model:
    chance = random.Random(request.param)
    model, log = random_history(chance, request.param, 220)
    organization, *others = catalog_events(request.param)
    await aggregator.learn(organization)
    await aggregator.count_in_pieces(chance, log, others)
    await aggregator.learn(*the_rate())
    while await aggregator.release():
        pass
    await aggregator.count(*log.values())
    return model


def micro(text: str) -> int:
    return int(Decimal(text).scaleb(6))


def parts_of(answer: dict[str, Any]) -> dict[str, int]:
    return {part["kind"]: micro(part["amount"]) for part in answer["parts"]}


class Straight:
    """The parts of a change as docs/explain.md defines them, from events and in fractions."""

    def __init__(self, model: Model, before: Iterable[Counted], now: Iterable[Counted], days: tuple[int, int]) -> None:
        self.model, self.before, self.now = model, list(before), list(now)
        self.longer = Fraction(days[1], days[0])

    def agent(self, use: Counted) -> str:
        return "unsaved" if use.agent and self.model.agents[use.agent][0] == "unsaved" else use.agent

    def items(self, uses: Iterable[Counted]) -> dict[tuple[str, ...], list[int]]:
        """Credits of uses, number of uses, and credits of corrections."""
        items: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        for use in uses:
            item = items[use.product, use.kind, use.feature, self.agent(use)]
            item[0 if use.is_use else 2] += use.micro
            item[1] += use.is_use
        return items

    def parts(self, late: tuple[dict[str, int], dict[str, int]], *, people: bool) -> dict[str, Fraction]:
        found: dict[str, Fraction] = defaultdict(Fraction)
        before, now, longer = self.items(self.before), self.items(self.now), self.longer
        found["days"] = total(self.before) * (longer - 1)
        found["corrections"] = sum(item[2] for item in now.values()) - longer * sum(item[2] for item in before.values())
        rest: set[tuple[str, ...]] = set()
        for item in before.keys() | now.keys():
            sides = [{key for key, (_, uses, _) in used.items() if uses} for used in (before, now)]
            features = tuple(item[:3] in {key[:3] for key in used} for used in sides)
            agents = tuple(not item[3] or item[3] in {key[3] for key in used} for used in sides)
            names = {(False, True): "new", (True, False): "gone"}
            moved = now[item][0] - before[item][0] * longer
            if features in names:
                found[f"{names[features]}_features"] += moved
            elif agents in names:
                found[f"{names[agents]}_agents"] += moved
            else:
                rest.add(item)
        if people:
            self.move_people(found, before, now, rest)
        for product in {item[0] for item in rest}:
            of = [item for item in rest if item[0] == product]
            credits, uses = sum(before[item][0] for item in of), sum(before[item][1] for item in of)
            later = sum(now[item][1] for item in of)
            average = Fraction(credits, uses) if uses > 0 else Fraction(0)
            late_uses = late[1].get(product, 0) - longer * late[0].get(product, 0)
            expected = sum((now[item][1] * self.earlier(before, of, item) for item in of), Fraction(0))
            found["late"] += late_uses * average
            found["volume"] += (later - uses * longer - late_uses) * average
            found["mix"] += expected - longer * credits - (later - uses * longer) * average
            found["intensity"] += sum(now[item][0] for item in of) - expected
        return found

    def earlier(
        self, before: dict[tuple[str, ...], list[int]], of: list[tuple[str, ...]], item: tuple[str, ...]
    ) -> Fraction:
        """Credits per use before: of the item, else of its feature."""
        same = [item] if before[item][1] > 0 else [key for key in of if key[:3] == item[:3]]
        uses = sum(before[key][1] for key in same)
        return Fraction(sum(before[key][0] for key in same), uses) if uses > 0 else Fraction(0)

    def move_people(
        self, found: dict[str, Fraction], before: dict[tuple[str, ...], list[int]], now: dict[tuple[str, ...], list[int]], rest: set[tuple[str, ...]]
    ) -> None:  # fmt: skip
        person = self.model.directory.person
        seen = [{person(use.who) for use in uses} for uses in (self.before, self.now)]
        for name, uses, used, others, factor in (
            ("gone_people", self.before, before, seen[1], -self.longer), ("new_people", self.now, now, seen[0], Fraction(1)),
        ):  # fmt: skip
            for use in uses:
                item = (use.product, use.kind, use.feature, self.agent(use))
                who = person(use.who)
                if item in rest and who[0] in ("user", "service_account") and who not in others:
                    found[name] += use.micro * factor
                    used[item][0] -= use.micro
                    used[item][1] -= use.is_use


async def late_uses(db: TableRows, model: Model, first: date, last: date) -> dict[str, int]:
    rows = await db.fetch(
        "SELECT product, count(*) AS uses FROM usage_ledger JOIN usage_series USING (series_id) WHERE NOT held AND corrects IS NULL"
        " AND (occurred_at AT TIME ZONE $1)::date BETWEEN $2 AND $3 AND (received_at AT TIME ZONE $1)::date > $3 GROUP BY product",
        model.zone.key, first, last,
    )  # fmt: skip
    return {row["product"]: row["uses"] for row in rows}


def random_days(chance: random.Random) -> tuple[date, date]:
    first, last = sorted(FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1)) for _ in range(2))
    return first, last


async def test_parts_are_those_of_a_straight_computation(api: Api, db: TableRows, known: Model) -> None:
    chance = random.Random(known.zone.key)
    filters: list[tuple[str, Callable[[Counted], bool]]] = [
        ("", lambda _: True),
        ("&people=true", lambda _: True),
        ("&product=agents", lambda use: use.product == "agents"),
        ("&product=assistant&view=tools", lambda use: (use.product, use.kind) == ("assistant", "tool")),
        ("&feature=jira&people=true", lambda use: use.feature == "jira"),
        ("&agent=agt_saved", lambda use: use.agent == "agt_saved"),
        ("&surface=web&surface=", lambda use: use.surface in ("web", "")),
    ]
    whole_months = [(date(2026, 10, 1), date(2026, 10, 31)), (date(2026, 9, 1), date(2026, 9, 30))]
    for number, (query, keep) in enumerate(filters * 2):
        now, before = random_days(chance), random_days(chance)
        if number == 1:
            now, before = whole_months
        days = f"from={now[0]}&to={now[1]}&before_from={before[0]}&before_to={before[1]}"
        answer = await api.get(f"/api/v1/explain?{days}{query}&limit=3")
        then, later = known.within(*before, keep=keep), known.within(*now, keep=keep)
        change = total(later) - total(then)
        assert (micro(answer["previous"]), micro(answer["total"])) == (total(then), total(later)), days
        assert micro(answer["change"]) == sum(parts_of(answer).values()) == change, days
        assert (answer["uses_before"], answer["uses"]) == tuple(sum(use.is_use for use in uses) for uses in (then, later))  # fmt: skip
        for part in answer["parts"]:
            shown = [micro(each["amount"]) for each in part["contributors"]]
            assert sum(shown) + micro(part["others"]) == micro(part["amount"])
            assert len(shown) == 3 or (len(shown) < 3 and part["other_rows"] == 0)
        known_parts = {part["kind"]: part["known"] for part in answer["parts"]}
        lengths = tuple((last - first).days + 1 for first, last in (before, now))
        assert (answer["before_days"], answer["days"]) == lengths
        late = ({}, {}) if not known_parts["late"] else (await late_uses(db, known, *before), await late_uses(db, known, *now))  # fmt: skip
        people = known_parts["new_people"]
        assert people == ("people" in query and before[0] != now[0])
        straight = Straight(known, then, later, (lengths[0], lengths[1])).parts(late, people=people)
        for kind, amount in parts_of(answer).items():
            assert abs(amount - straight[kind]) <= 60, (days, query, kind)  # half a micro-credit for each item


async def test_who_filters_have_the_change_of_people(api: Api, known: Model) -> None:
    chance = random.Random(5)
    people = await api.get("/api/v1/usage/people?range=all&limit=3")
    filters = [f"actor={row['id']}" for row in people["rows"]] + ["group=g_eng", "label=project:atlas", "group=g_ops&membership=now"]  # fmt: skip
    for query in filters:
        now, before = random_days(chance), random_days(chance)
        days = [f"from={first}&to={last}" for first, last in (before, now)]
        answer = await api.get(f"/api/v1/explain?{days[1]}&before_from={before[0]}&before_to={before[1]}&{query}")
        totals = [micro((await api.get(f"/api/v1/usage/people?{span}&{query}"))["total"]) for span in days]
        assert [micro(answer["previous"]), micro(answer["total"])] == totals
        assert sum(parts_of(answer).values()) == totals[1] - totals[0]
        assert not any(part["known"] for part in answer["parts"] if part["kind"] in ("late", "corrections", "new_people"))  # fmt: skip


async def test_parts_add_up_where_prices_changed_and_only_groups_are_shown(
    api: Api, db: TableRows, known: Model
) -> None:
    """Of a range about too few people nothing is shown; all else has parts that add up."""
    chance = random.Random(7)
    await db.execute("UPDATE organizations SET people = 'groups_only', event_offset = coalesce(event_offset, 0) + 1")
    await db.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source, event_id)"
        " SELECT 0, product, 'model', '*', 'tokens', day, 1000, at, 1000 + day, 'catalog', product || day FROM generate_series(3, 60, 9) AS day,"
        " LATERAL (SELECT $1::date + day AS at) AS changes, unnest(ARRAY['assistant', 'agents']) AS product", FIRST,
    )  # fmt: skip
    shown = []
    for query in (
        "",
        "people=true",
        "product=assistant",
        "group=g_eng",
        "group=g_ops&product=agents",
        "label=project:atlas",
    ) * 2:
        now, before = random_days(chance), random_days(chance)
        days = f"from={now[0]}&to={now[1]}&before_from={before[0]}&before_to={before[1]}"
        response = await api.ask(f"/api/v1/explain?{days}&{query}")
        answer, is_of_group = response.json(), "group" in query or "label" in query
        if response.status_code != 200:
            assert (is_of_group, answer["type"]) == (True, "/problems/too-few-people")
            continue
        shown.append(answer)
        assert sum(parts_of(answer).values()) == micro(answer["change"]) == micro(answer["total"]) - micro(answer["previous"])  # fmt: skip
        states = {part["kind"]: part["known"] for part in answer["parts"]}
        assert (states["new_people"], states["rate"]) == (False, not is_of_group)
    assert len(shown) >= 6
    assert any(parts_of(answer)["rate"] for answer in shown)
