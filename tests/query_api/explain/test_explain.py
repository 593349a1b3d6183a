"""The answer of /api/v1/explain: which ranges, filters and people it shows, and how prices and late usage enter it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from support.data.people_usage import PeopleRows
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

MONTHS = "from=2026-10&to=2026-10&before_from=2026-09&before_to=2026-09"
OCTOBER = "from=2026-10-01&to=2026-10-30&before_from=2026-09-01&before_to=2026-09-30"
"""As many days as September."""


@pytest.fixture
async def acme(db: TableRows) -> int:
    return await db.organization()


def amounts(answer: dict[str, Any]) -> dict[str, str]:
    """Whole credits of the parts that are not 0."""
    return {part["kind"]: part["amount"].removesuffix(".000000") for part in answer["parts"] if Decimal(part["amount"])}


def part(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    [found] = [part for part in answer["parts"] if part["kind"] == kind]
    return dict(found)


async def use(db: TableRows, org: int, feature: str, day: str, credits: int, uses: int, **options: Any) -> None:
    await db.use(org, "assistant", "tool", feature, day, credits * MICRO, events=uses, **options)


async def test_the_example_of_the_document(api: Api, db: TableRows, acme: int) -> None:
    for day, searches, researches in (
        ("2026-09-10", (900, 900), (2100, 100)),
        ("2026-10-10", (1300, 1300), (4400, 200)),
    ):
        await use(db, acme, "search", day, *searches)
        await use(db, acme, "research", day, *researches)
    await db.feature(acme, "assistant", "tool", "research", "2026-01-01", name="Deep Research")
    answer = await api.get(f"/api/v1/explain?{OCTOBER}&limit=1")
    assert amounts(answer) == {"volume": "1500", "mix": "1000", "intensity": "200"}
    assert (answer["previous"], answer["total"], answer["change"]) == ("3000.000000", "5700.000000", "2700.000000")
    assert answer["relative_change"] == "0.900000"
    [largest] = part(answer, "mix")["contributors"]
    assert (largest["feature"], largest["feature_name"], largest["amount"]) == (
        "research",
        "Deep Research",
        "1800.000000",
    )
    assert (largest["credits_before"], largest["credits"], largest["uses_before"], largest["uses"]) == (
        "2100.000000", "4400.000000", 100, 200
    )  # fmt: skip
    assert (part(answer, "mix")["others"], part(answer, "mix")["other_rows"]) == ("-800.000000", 1)
    assert [(mover["feature"], mover["amount"]) for mover in answer["movers"]] == [("research", "2300.000000")]


async def test_months_have_a_part_for_their_days(api: Api, db: TableRows, acme: int) -> None:
    await use(db, acme, "search", "2026-09-10", 300, 300)
    await use(db, acme, "search", "2026-10-10", 310, 310)
    assert amounts(await api.get(f"/api/v1/explain?{MONTHS}")) == {"days": "10"}


async def test_without_an_earlier_range_it_is_the_one_before(api: Api, db: TableRows, acme: int) -> None:
    answer = await api.get("/api/v1/explain?from=2026-11-21&to=2026-11-21")
    assert answer["before_range"] == {"from": "2026-11-20", "to": "2026-11-20"}
    running = await api.get("/api/v1/explain?from=2026-11&to=2026-11")
    assert running["range"] == {"from": "2026-11-01", "to": "2026-11-22"}
    assert running["before_range"] == {"from": "2026-10-01", "to": "2026-10-22"}
    assert (running["before_days"], running["days"], amounts(running)) == (22, 22, {})


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("range=all", "before_from"), ("from=2026-10&to=2026-10&before_from=2026-09", "before_to"),
        ("from=2026-10&to=2026-10&before_from=2026-09&before_to=2026-08", "before_to"), ("from=2026-10&to=2026-10&view=tools", "view"),
        ("from=2026-10&to=2026-10&limit=0", "limit"), ("from=2026-10&to=2026-10&actor=%00", "actor"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_named(api: Api, acme: int, query: str, parameter: str) -> None:
    answer = await api.ask(f"/api/v1/explain?{query}")
    assert answer.status_code == 422
    assert parameter in answer.text


async def test_late_uses_and_corrections_are_parts(api: Api, db: TableRows, acme: int) -> None:
    await use(db, acme, "search", "2026-09-10", 200, 100)
    await use(db, acme, "search", "2026-10-10", 240, 120)
    await db.correct(acme, "assistant", "tool", "search", "2026-10-12", -7 * MICRO)
    for day, received, uses in (
        ("2026-09-30", "2026-10-01", 10),
        ("2026-09-10", "2026-09-11", 5),
        ("2026-09-20", "2026-10-02", 20),
    ):
        await db.execute(
            "INSERT INTO usage_late VALUES ($1, $2, $3, 'assistant', 1, $4)",
            acme, date.fromisoformat(day), date.fromisoformat(received), uses,
        )  # fmt: skip
    answer = await api.get(f"/api/v1/explain?{OCTOBER}")
    assert amounts(answer) == {"volume": "100", "late": "-60", "corrections": "-7"}
    assert part(answer, "late")["contributors"][0]["product"] == "assistant"
    narrow = await api.get(f"/api/v1/explain?{OCTOBER}&feature=search")
    assert amounts(narrow) == {"volume": "40", "corrections": "-7"}
    assert (part(narrow, "late")["known"], part(answer, "late")["known"]) == (False, True)


async def rate(
    db: TableRows, org: int, micro: int, since: str, *, feature: str = "*", unit: str = "tokens", number: int = 0
) -> None:
    await db.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source, event_id)"
        " VALUES ($1, 'assistant', 'tool', $2, $3, $4, 1000000, $5, $6, 'catalog', $7)",
        org, feature, unit, micro, datetime.fromisoformat(since), number, f"{org} {feature} {unit} {since}",
    )  # fmt: skip


async def test_a_new_price_is_a_part_and_a_change_within_a_range_counts_by_quantity(
    api: Api, db: TableRows, acme: int
) -> None:
    await rate(db, 0, 1000, "2026-01-01T00:00Z", number=1)
    await rate(db, 0, 3000, "2026-10-11T00:00Z", number=2)
    await use(db, acme, "search", "2026-09-10", 100, 100)
    await use(db, acme, "search", "2026-10-10", 50, 50)  # 50,000 tokens
    await use(db, acme, "search", "2026-10-11", 150, 50)  # as many, at three times the price
    answer = await api.get(f"/api/v1/explain?{OCTOBER}")
    assert amounts(answer) == {"rate": "100"}
    [search] = part(answer, "rate")["contributors"]
    assert (search["feature"], search["amount"]) == ("search", "100.000000")
    assert amounts(await api.get("/api/v1/explain?from=2026-10-11&to=2026-10-11")) == {"rate": "100"}
    own = await api.get(f"/api/v1/explain?{OCTOBER}&feature=search&surface=web")
    assert amounts(own) == {"rate": "100"}


async def test_on_the_day_of_the_change_the_price_is_averaged_over_the_day(api: Api, db: TableRows, acme: int) -> None:
    await rate(db, 0, 1000, "2026-01-01T00:00Z", number=1)
    await rate(db, 0, 3000, "2026-10-10T12:00Z", number=2)
    await use(db, acme, "search", "2026-10-09", 100, 100)
    await use(db, acme, "search", "2026-10-10", 200, 100)
    assert amounts(await api.get("/api/v1/explain?from=2026-10-10&to=2026-10-10")) == {"rate": "100"}


async def test_prices_of_several_units_that_change_differently_are_not_guessed(
    api: Api, db: TableRows, acme: int
) -> None:
    for unit in ("input", "output"):
        await rate(db, acme, 1000, "2026-01-01T00:00Z", unit=unit, number=1)
    await rate(db, acme, 5000, "2026-10-05T00:00Z", unit="output", number=2)
    await use(db, acme, "search", "2026-09-10", 100, 100)
    await use(db, acme, "search", "2026-10-10", 300, 100)
    answer = await api.get(f"/api/v1/explain?{OCTOBER}")
    assert amounts(answer) == {"intensity": "200"}
    assert [each["feature"] for each in answer["unpriced"]] == ["search"]


async def test_a_price_of_another_organization_changes_nothing(api: Api, db: TableRows, acme: int) -> None:
    other = await db.organization("org_other")
    await rate(db, 0, 1000, "2026-01-01T00:00Z", number=1)
    await rate(db, other, 9000, "2026-10-01T00:00Z", number=2)
    await use(db, acme, "search", "2026-09-10", 100, 100)
    await use(db, acme, "search", "2026-10-10", 100, 100)
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}")) == {}


async def test_agents_have_their_names_and_unsaved_ones_are_one(api: Api, db: TableRows, acme: int) -> None:
    await db.agent(acme, "a1", "saved", "Quarterly report")
    for draft in ("d1", "d2"):
        await db.sighting(acme, draft, "unsaved", "Draft")
    await use(db, acme, "search", "2026-09-10", 10, 10, agent="d1")
    await use(db, acme, "search", "2026-10-10", 10, 10, agent="d2")
    await use(db, acme, "search", "2026-10-10", 30, 10, agent="a1")
    answer = await api.get(f"/api/v1/explain?{OCTOBER}")
    assert amounts(answer) == {"new_agents": "30"}
    [contributor] = part(answer, "new_agents")["contributors"]
    assert (contributor["agent_kind"], contributor["agent"], contributor["agent_name"]) == (
        "agent",
        "a1",
        "Quarterly report",
    )
    assert (contributor["product"], contributor["feature"]) == (None, None)
    drafts = await api.get(
        "/api/v1/explain?from=2026-10-10&to=2026-10-10&before_from=2026-09-10&before_to=2026-09-10&product=assistant"
    )
    assert amounts(drafts) == {"new_agents": "30"}


@pytest.fixture
async def people(db: TableRows, acme: int) -> PeopleRows:
    """Six people of a group, of whom one comes and one goes, and five of another group."""
    rows = PeopleRows(db, acme)
    await rows.actor("u1", "Ada Lovelace", "ada@acme.example")
    await rows.group("large")
    for day, present in (("2026-09-10", range(6)), ("2026-10-10", range(1, 7))):
        for number in present:
            await rows.use(f"u{number}", day, 10 * MICRO, group="large", events=10)
    for day, credits in (("2026-09-10", 10), ("2026-10-10", 30)):
        for number in range(5):
            await rows.use(f"v{number}", day, credits * MICRO // 5, group="other", events=2)
    return rows


async def test_people_who_came_or_went_are_parts_on_request(api: Api, people: PeopleRows) -> None:
    answer = await api.get(f"/api/v1/explain?{OCTOBER}&people=true")
    assert amounts(answer) == {"intensity": "20", "new_people": "10", "gone_people": "-10"}
    [gone] = part(answer, "gone_people")["contributors"]
    assert (gone["person_kind"], gone["person"], gone["person_name"]) == ("person", "u0", "u0")
    assert (gone["uses_before"], gone["uses"]) == (10, 0)
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}")) == {"intensity": "20"}
    await people.actor("u0", "Grace Hopper")
    named = await api.get(f"/api/v1/explain?{OCTOBER}&people=true&product=agents")
    assert part(named, "gone_people")["contributors"][0]["person_name"] == "Grace Hopper"


async def test_aliases_are_shown_instead_of_names(api: Api, people: PeopleRows) -> None:
    await people.actor("u0", "Grace Hopper")
    await people.configure("pseudonymous")
    answer = await api.ask(f"/api/v1/explain?{OCTOBER}&people=true")
    alias = part(answer.json(), "gone_people")["contributors"][0]["person"]
    assert alias.startswith("Person ")
    assert not [secret for secret in ("u0", "Grace Hopper") if secret in answer.text]
    of_one = await api.get(f"/api/v1/explain?{OCTOBER}&actor={alias}")
    assert (of_one["previous"], of_one["total"], amounts(of_one)) == ("10.000000", "0.000000", {"gone_features": "-10"})


async def test_where_groups_only_are_shown_no_person_is(api: Api, people: PeopleRows) -> None:
    await people.configure("groups_only")
    answer = await api.get(f"/api/v1/explain?{OCTOBER}&people=true")
    assert (amounts(answer), part(answer, "new_people")["known"]) == ({"intensity": "20"}, False)
    assert (await api.ask(f"/api/v1/explain?{OCTOBER}&actor=u1")).json()["type"] == "/problems/people-not-shown"
    for group, problem in (("unknown", "/problems/too-few-people"), ("large", None)):
        found = await api.ask(f"/api/v1/explain?{OCTOBER}&group={group}")
        assert found.json().get("type") == problem, group
    # The share of usage at each price would say how much was used before and after its change, by fewer than five perhaps.
    assert part(found.json(), "rate")["known"] is False
    assert part(answer, "rate")["known"] is True
    # Of the earlier range alone too few may be shown, and then the change would reveal them.
    await people.use("new-one", "2026-08-10", 5 * MICRO, group="large")
    august = "/api/v1/explain?from=2026-10&to=2026-10&before_from=2026-08&before_to=2026-08&group=large"
    assert (await api.ask(august)).json()["type"] == "/problems/too-few-people"


async def test_an_organization_without_usage_has_no_change(api: Api, acme: int) -> None:
    answer = await api.get(f"/api/v1/explain?{MONTHS}")
    assert (amounts(answer), answer["movers"], answer["relative_change"], answer["change"]) == (
        {},
        [],
        None,
        "0.000000",
    )


async def test_usage_corrections_and_late_uses_that_arrive_are_in_the_next_answer(
    api: Api, db: TableRows, acme: int
) -> None:
    await use(db, acme, "search", "2026-09-10", 200, 100)
    await use(db, acme, "search", "2026-10-10", 200, 100)
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}")) == {}
    await use(db, acme, "search", "2026-09-20", 20, 10)
    await db.execute("INSERT INTO usage_late VALUES ($1, '2026-09-20', '2026-10-02', 'assistant', 1, 10)", acme)
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}")) == {"late": "-20"}
    await db.correct(acme, "assistant", "tool", "search", "2026-10-10", -3 * MICRO)
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}")) == {"late": "-20", "corrections": "-3"}
    assert amounts(await api.get(f"/api/v1/explain?{OCTOBER}&product=api")) == {}


@pytest.mark.parametrize(
    "query",
    [
        "from=9999-12-31&to=9999-12-31&before_from=0001-01-01&before_to=0001-01-01", "from=0001-01&to=9999-12&before_from=9999-01&before_to=9999-12",
        "from=2026-10&to=2026-10&before_from=2026-10&before_to=2026-10&people=true", "from=2027-01&to=2027-01",
    ],
)  # fmt: skip
async def test_any_two_ranges_can_be_compared(api: Api, db: TableRows, acme: int, query: str) -> None:
    """Also ranges at the limits of the calendar, in the future, and equal ones."""
    await rate(db, 0, 1000, "2026-01-01T00:00Z", number=1)
    await rate(db, 0, 3000, "2026-10-11T00:00Z", number=2)
    await use(db, acme, "search", "2026-10-10", 50, 50)
    answer = await api.get(f"/api/v1/explain?{query}")
    assert sum(Decimal(part["amount"]) for part in answer["parts"]) == Decimal(answer["change"])
