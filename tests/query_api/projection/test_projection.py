"""GET /api/v1/projection, from rows in a real database."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from query_api.db.cache import VersionedCache
from query_api.projection.compute import Known, find_outlook
from runtime.forecast.model import Refusal
from runtime.forecast.project import Outlook
from support.data.table_rows import MICRO, NOW, TableRows, local
from support.services.query_api import Api

PATH = "/api/v1/projection"
TODAY = NOW.date()  # 22 November 2026, a Sunday
OFFICE = (100, 110, 110, 100, 90, 20, 10)


async def steady(db: TableRows, days: int = 60, *, name: str = "org_acme", total: int = 10_000) -> int:
    """Usage of `days` complete days by agent a1, with weekdays, in a credit period to the end of the year."""
    number = await db.organization(name)
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(
        number,
        "c1",
        "p1",
        "2026-01-01",
        "2027-01-01",
        total=total,
        agents=total // 2,
        add_ons=[(500, True), (77, False)],
    )
    for before in range(1, days + 1):
        day = TODAY - timedelta(days=before)
        await db.use(number, "agents", "model", "opus", str(day), OFFICE[day.weekday()] * MICRO, agent="a1")
    await db.progress(0, NOW)
    return number


def amounts(quantiles: dict[str, str]) -> list[Decimal]:
    return [Decimal(quantiles[name]) for name in ("p10", "p50", "p90")]


async def test_the_organization_runs_out_when_steady_use_says(api: Api, db: TableRows) -> None:
    await steady(db, total=5_500)
    answer = await api.get(PATH)
    overview = await api.get("/api/v1/overview")
    assert (answer["used"], answer["available"], answer["remaining"]) == (
        overview["credits_used"], overview["credits_available"], overview["remaining"],
    )  # fmt: skip
    assert (answer["product"], answer["agent"], answer["refusal"], answer["exhausted_on"]) == (None, None, None, None)
    assert answer["credit_period"] == overview["credit_period"]
    assert answer["complete_to"] == overview["complete_to"] == "2026-11-22T12:00:00Z"
    projection = answer["projection"]
    assert projection["to"] == "2026-12-31"
    left, day = Decimal(answer["remaining"]), TODAY
    while (left := left - OFFICE[day.weekday()]) > 0:
        day += timedelta(days=1)
    assert abs(date.fromisoformat(projection["run_out"]["p50"]) - day) <= timedelta(days=1)
    assert projection["run_out"]["p10"] <= projection["run_out"]["p50"] <= projection["run_out"]["p90"]
    assert projection["probability_not_in_period"] == "0.000000"
    assert amounts(projection["expiring_unused"]) == [0, 0, 0]
    band = projection["band"]
    assert (band["from"], len(band["p10"])) == ("2026-11-22", 40)
    assert amounts(projection["end_use"]) == [Decimal(band[name][-1]) for name in ("p10", "p50", "p90")]
    assert projection["coverage"] is not None
    assert 0.75 <= float(projection["coverage"]) <= 1
    assert projection["weeks"] == 8


async def test_the_same_watermark_gives_the_same_answer_and_tag(api: Api, db: TableRows) -> None:
    number = await steady(db)
    first = await api.ask(PATH)
    headers = {"Authorization": f"Bearer {api.provider.token()}", "If-None-Match": first.headers["etag"]}
    assert (await api.client.get(PATH, headers=headers)).status_code == 304
    api.now = NOW + timedelta(minutes=9)
    assert (await api.client.get(PATH, headers=headers)).status_code == 304
    await db.use(number, "agents", "model", "opus", str(TODAY), 40 * MICRO, agent="a1")
    changed = await api.client.get(PATH, headers=headers)
    assert changed.status_code == 200
    assert Decimal(changed.json()["used"]) == Decimal(first.json()["used"]) + 40


async def test_credits_that_last_expire_unused(api: Api, db: TableRows) -> None:
    await steady(db, total=1_000_000)
    projection = (await api.get(PATH))["projection"]
    assert projection["run_out"] == {"p10": None, "p50": None, "p90": None}
    assert projection["probability_not_in_period"] == "1.000000"
    low, middle, high = amounts(projection["expiring_unused"])
    assert 980_000 < low <= middle <= high < 1_000_500
    assert middle + amounts(projection["end_use"])[1] == pytest.approx(Decimal(1_000_500), abs=Decimal("0.01"))


async def test_a_product_is_compared_with_its_own_credits_and_an_agent_with_none(api: Api, db: TableRows) -> None:
    number = await steady(db)
    for before in range(1, 41):
        await db.use(number, "api", "namespace", "search", str(TODAY - timedelta(days=before)), 7 * MICRO)
    whole, agents, other, agent, unknown = [
        await api.get(f"{PATH}{query}") for query in ("", "?product=agents", "?product=api", "?agent=a1", "?agent=a2")
    ]
    assert agents["available"] == "5000.000000"
    assert agents["projection"]["run_out"]["p50"] is not None
    assert whole["projection"]["run_out"]["p50"] is None
    assert (other["used"], other["available"], other["remaining"]) == ("280.000000", None, None)
    assert Decimal(whole["used"]) == Decimal(agents["used"]) + Decimal(other["used"])
    for name in ("run_out", "probability_not_in_period", "expiring_unused"):
        assert other["projection"][name] is None
        assert agent["projection"][name] is None
    assert (agent["used"], agent["available"], agent["glide_path"]) == (agents["used"], None, None)
    of_agent, of_product = (amounts(one["projection"]["end_use"])[1] for one in (agent, agents))
    assert of_agent == pytest.approx(of_product, rel=Decimal("0.02"))  # the same usage on other paths
    assert unknown["refusal"]["reason"] == "too_few_days"
    assert agents["glide_path"]["monthly_budget"] is None


async def test_the_glide_path_lasts_to_the_end_beside_the_products_formula(api: Api, db: TableRows) -> None:
    number = await steady(db)
    before = (await api.get(PATH))["glide_path"]
    await db.use(number, "agents", "model", "opus", str(TODAY), 50 * MICRO, agent="a1")
    answer = await api.get(PATH)
    path, overview = answer["glide_path"], await api.get("/api/v1/overview")
    assert path["recommended_monthly_budget"] == overview["recommended_monthly_budget"]
    remaining = Decimal(path["remaining_credits"])
    assert remaining == Decimal(answer["remaining"]) + 50  # planned when the day began, and not again until tomorrow
    assert {name: path[name] for name in path if name != "recommended_monthly_budget"} == {
        name: before[name] for name in before if name != "recommended_monthly_budget"
    }
    assert path["remaining_days"] == 40
    assert sum(Decimal(month["credits"]) for month in path["months"]) == remaining
    assert [month["days"] for month in path["months"]] == [
        {"from": "2026-11-22", "to": "2026-11-30"}, {"from": "2026-12-01", "to": "2026-12-31"},
    ]  # fmt: skip
    november = sum(OFFICE[date(2026, 11, day).weekday()] for day in range(1, 22))
    assert Decimal(path["monthly_budget"]) == november + Decimal(path["months"][0]["credits"])


async def test_credits_that_are_used_up_have_the_day(api: Api, db: TableRows) -> None:
    await steady(db, total=1_000)
    answer = await api.get(PATH)
    assert answer["remaining"] == "0.000000"
    used, day = 0, TODAY - timedelta(days=60)
    while (used := used + OFFICE[day.weekday()]) < 1_500:
        day += timedelta(days=1)
    assert answer["exhausted_on"] == str(day)
    assert answer["days_ahead"] > 0
    assert answer["glide_path"]["per_day"] == "0.000000"


async def test_today_is_used_by_the_shape_of_last_weeks_day(api: Api, db: TableRows) -> None:
    number = await steady(db)
    series = await db.series(number, "agents", "model", "opus", "a1")
    await db.ledger(
        number, series, local("UTC", "2026-11-15", "13:00"), 10 * MICRO
    )  # last Sunday, all in the afternoon
    api.now = NOW + timedelta(seconds=1)
    afternoon = await api.get(PATH)
    await db.execute("DELETE FROM partition_progress")
    other = await steady(db, name="org_other")
    series = await db.series(other, "agents", "model", "opus", "a1")
    await db.ledger(other, series, local("UTC", "2026-11-15", "09:00"), 30 * MICRO)
    morning = await api.get(PATH, organization="org_other")
    assert Decimal(morning["projection"]["band"]["p50"][0]) == Decimal(morning["used"])  # nothing is left of today
    assert Decimal(afternoon["projection"]["band"]["p50"][0]) > Decimal(afternoon["used"]) + 5


async def refused(api: Api, query: str = "", **claims: Any) -> str:
    answer = await api.get(PATH + query, **claims)
    assert answer["projection"] is None
    assert answer["refusal"]["detail"]
    return str(answer["refusal"]["reason"])


async def test_without_enough_data_the_reason_is_stated(api: Api, db: TableRows) -> None:
    await steady(db, 13)
    assert await refused(api) == "too_few_days"
    assert (await api.get(PATH))["glide_path"] is not None  # it needs no projection


async def test_missing_data_is_stated(api: Api, db: TableRows) -> None:
    number = await steady(db)
    assert (await api.get(PATH))["refusal"] is None
    series = await db.series(number, "agents", "model", "opus", "a1")
    await db.hold(number, series)
    assert await refused(api) == "usage_not_counted"
    await db.execute("DELETE FROM usage_held")
    await db.execute(
        "INSERT INTO quarantine (organization_id, component, step, reason, retry_at) VALUES ($1, 'aggregator', 'counting', 'x', now())", number
    )  # fmt: skip
    assert await refused(api) == "usage_not_counted"
    await db.execute("DELETE FROM quarantine")
    await db.execute("UPDATE partition_progress SET caught_up_at = $1", NOW - timedelta(days=2))
    answer = await api.get(PATH)
    assert answer["refusal"] == {
        "reason": "days_missing", "detail": "Usage of past days is missing: totals are complete only to 2026-11-20 12:00 UTC.",
    }  # fmt: skip
    await db.execute("DELETE FROM partition_progress")
    assert await refused(api) == "days_missing"


async def test_only_the_current_credit_period_is_projected(api: Api, db: TableRows) -> None:
    number = await steady(db)
    await db.period(number, "c1", "p0", "2025-01-01", "2026-01-01", total=5)
    await db.period(number, "c1", "p2", "2027-01-01", "2028-01-01", total=5)
    assert await refused(api, "?credit_period=p0") == "period_over"
    assert await refused(api, "?credit_period=c1/p2") == "period_not_begun"
    assert (await api.get(f"{PATH}?credit_period=c1/p1"))["projection"] == (await api.get(PATH))["projection"]
    assert (await api.ask(f"{PATH}?credit_period=p9")).status_code == 404
    assert (await api.ask(f"{PATH}?product=none")).status_code == 422
    assert (await api.ask(f"{PATH}?from=2026-01")).status_code == 422
    await db.organization("org_new")
    assert await refused(api, organization="org_new") == "no_credit_period"


async def test_a_credit_period_without_an_end_is_projected_for_a_year(api: Api, db: TableRows) -> None:
    number = await db.organization("org_endless")
    await db.contract(number, "c1", "2026-01-01", "9999-12-31")
    await db.period(number, "c1", "p1", "2026-01-01", "9999-12-31", total=10_000)
    for before in range(1, 31):
        await db.use(number, "api", "namespace", "search", str(TODAY - timedelta(days=before)), 100 * MICRO)
    await db.progress(0, NOW)
    answer = await api.get(PATH, organization="org_endless")
    assert answer["projection"]["to"] == str(TODAY + timedelta(days=365))
    assert answer["projection"]["expiring_unused"] is None
    assert date(2027, 1, 28) <= date.fromisoformat(answer["projection"]["run_out"]["p50"]) <= date(2027, 2, 3)
    assert (answer["glide_path"], answer["days_ahead"]) == (None, None)


async def test_a_period_that_ends_far_away_is_projected_for_three_years(api: Api, db: TableRows) -> None:
    number = await db.organization("org_long")
    await db.contract(number, "c1", "2026-01-01", "2036-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2036-01-01", total=1_000_000)
    for before in range(1, 31):
        await db.use(number, "api", "namespace", "search", str(TODAY - timedelta(days=before)), 100 * MICRO)
    await db.progress(0, NOW)
    answer = await api.get(PATH, organization="org_long")
    projection = answer["projection"]
    assert projection["to"] == "2029-11-21"
    assert (projection["probability_not_in_period"], projection["expiring_unused"]) == ("1.000000", None)
    assert answer["glide_path"]["months"][-1]["days"]["to"] == "2035-12-31"  # needs no projection


async def test_an_outlook_is_made_once_for_the_same_days_and_time_of_day() -> None:
    cache, key = VersionedCache(), ("outlook", 1)
    known = Known(TODAY - timedelta(days=20), (100 * MICRO,) * 20, TODAY + timedelta(days=30), 0.5, 7)
    outlook = await find_outlook(1, cache, key, known)
    assert isinstance(outlook, Outlook)
    assert await find_outlook(1, cache, key, Known(*known)) is outlook
    for other in (
        known._replace(micro=(99 * MICRO, *known.micro[1:])),  # late usage changes the past
        known._replace(elapsed=0.6),
        known._replace(until=TODAY + timedelta(days=31)),
    ):
        assert await find_outlook(1, cache, key, other) is not outlook
    assert isinstance(await find_outlook(1, cache, key, known._replace(micro=(100 * MICRO,) * 5)), Refusal)


async def test_days_are_those_of_the_organizations_zone(api: Api, db: TableRows) -> None:
    number = await steady(db, name="org_east")
    await db.execute("UPDATE organizations SET time_zone = 'Pacific/Kiritimati' WHERE organization_id = $1", number)
    await db.use(number, "agents", "model", "opus", str(TODAY), 10 * MICRO, agent="a1")
    answer = await api.get(PATH, organization="org_east")  # there it is already the 23rd
    assert answer["projection"]["band"]["from"] == "2026-11-23"
    assert answer["glide_path"]["remaining_days"] == 39
