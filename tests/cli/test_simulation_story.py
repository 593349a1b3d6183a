"""Generated companies are plausible, and the demo company has the level that the demo needs."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flexcredits_cli.generator.company.agents import seasonal_agents
from flexcredits_cli.generator.company.cast import DEMO, HAND_WRITTEN, HIMAL, ORBIT, Company, Terms, companies
from flexcredits_cli.generator.company.contracts import LEAST, current_period, describe, used_in
from flexcredits_cli.generator.company.events import instant_text
from flexcredits_cli.generator.company.rates import micro_credits
from flexcredits_cli.generator.company.shape import bounds, busyness, is_spike, season_of
from flexcredits_cli.generator.simulate import LIVE_RATE, MONTHS_MAX, past_of, read_at, sized
from flexcredits_cli.generator.usage.disturbances import COUNTED, Kind, Sending
from flexcredits_cli.generator.usage.history import Past, deployment_catalog
from flexcredits_cli.generator.usage.live import OPENING_S, Opening, level, usual_day
from flexcredits_schemas.events import PRODUCTS
from hypothesis import given
from hypothesis import strategies as st
from support.data.generated_companies import AT, demo_company, play


@pytest.fixture
def demo() -> tuple[Past, list[Sending]]:
    return demo_company()


@pytest.fixture(scope="module")
def all_sendings() -> list[Sending]:
    """Three months of all hand-written companies and some generated ones, with the deployment's catalog events."""
    pasts = [past_of(1, company, read_at(AT), 3) for company in (*HAND_WRITTEN, *companies(5))]
    return [*deployment_catalog(pasts), *(sending for past in pasts for sending in past.sendings())]


def test_usage_follows_weekday_hour_and_growth(demo: tuple[Past, list[Sending]]) -> None:
    uses = [local(sending, "Europe/Berlin") for sending in demo[1] if sending.kind is Kind.USAGE]
    weekdays = Counter(at.weekday() for at in uses)
    assert 3 * weekdays[5] < weekdays[1]
    hours = Counter(at.hour for at in uses)
    assert 10 * hours[3] < hours[10]
    assert busyness(date(2026, 11, 23)) > 1.2 * busyness(date(2026, 2, 2))
    months = Counter((at.year, at.month) for at in uses)
    assert months[2026, 10] > months[2026, 5]


@pytest.mark.parametrize("company", HAND_WRITTEN, ids=lambda company: company.time_zone)
def test_working_hours_are_those_of_the_companys_zone(company: Company) -> None:
    _, sendings = play(replace(company, per_day=60), months=1)
    hours = Counter(local(sending, company.time_zone).hour for sending in sendings if sending.kind is Kind.USAGE)
    assert sum(hours[hour] for hour in range(8, 18)) > 0.75 * hours.total()


def local(sending: Sending, time_zone: str) -> datetime:
    return datetime.fromtimestamp(sending.happened_ms / 1000, ZoneInfo(time_zone))


def test_days_of_23_and_25_hours_are_filled() -> None:
    hour = 3_600_000
    for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 10, 26), 24)):
        begin, end = bounds(day, "Europe/Berlin")
        assert end - begin == hours * hour
    begin, end = bounds(date(2026, 10, 4), "Australia/Lord_Howe")
    assert end - begin == 23.5 * hour


def test_one_spike_in_any_three_weeks_and_one_agent_causes_it(demo: tuple[Past, list[Sending]]) -> None:
    today = demo[0].today
    for company in ("org_demo", "org_orbit", "org_sim_0011"):
        days = [today - timedelta(days=back) for back in range(1, 22)]
        assert len([day for day in days if is_spike(1, company, day)]) == 1
    (spike,) = (day for day in days_before(today, 21) if is_spike(1, "org_demo", day))
    credits: Counter[str] = Counter()
    for sending in demo[1]:
        if sending.kind is Kind.USAGE and local(sending, "Europe/Berlin").date() == spike:
            credits[sending.event["data"].get("agent", {}).get("id", "")] += micro_credits(sending.event)
    assert credits.most_common(1)[0][0].startswith("agt_")
    assert credits.most_common(1)[0][1] * 2 > credits.total()


def days_before(day: date, number: int) -> list[date]:
    return [day - timedelta(days=back) for back in range(1, number + 1)]


def test_every_kind_of_life_cycle_is_there(demo: tuple[Past, list[Sending]]) -> None:
    changes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    kinds: dict[str, list[str]] = defaultdict(list)
    for sending in demo[1]:
        event = sending.event
        if event["type"] == "flexcredits.agent.v1":
            changes[event["data"]["id"]].append(event["data"])
        elif sending.kind is Kind.USAGE and "agent" in event["data"]:
            kinds[event["data"]["agent"]["id"]].append(event["data"]["agent"]["kind"])

    def used(states: tuple[str, ...], check: Callable[[str], bool] = lambda _: True) -> list[str]:
        return [name for name in kinds if tuple(change["state"] for change in changes[name]) == states and check(name)]

    assert used(("saved", "deleted"))
    assert used(("saved", "deleted", "saved"))
    assert used(("saved", "saved"), lambda name: changes[name][0]["name"] != changes[name][1]["name"])
    assert used((), lambda name: set(kinds[name]) == {"unsaved"})
    assert used(("deleted",), lambda name: set(kinds[name]) == {"unsaved"})
    assert used(("saved",), lambda name: kinds[name][0] == "unsaved" and kinds[name][-1] == "saved")
    assert len(used(("system",))) == 2
    # A deleted agent is no longer used; a restored agent is used again.
    deleted, restored, *_ = seasonal_agents(season_of(demo[0].today) - 1)
    assert not deleted.is_used_on(deleted.versions[-1].day)
    assert not restored.is_used_on(restored.versions[1].day)
    assert restored.is_used_on(restored.versions[2].day + timedelta(days=1))


def test_categories_change_and_the_newest_feature_has_none(
    all_sendings: list[Sending], demo: tuple[Past, list[Sending]]
) -> None:
    categories: dict[str, set[str]] = defaultdict(set)
    for sending in all_sendings:
        if sending.event["type"] == "flexcredits.feature.v1":
            assert "subject" not in sending.event
            categories[sending.event["data"]["feature"]].add(sending.event["data"]["category"])
    assert categories["web_browser"] == {"Browsing", "Research"}
    assert categories["image_generation"] == {"Media", "Creative"}
    # The newest feature is between a few days and a season old, so its first use lies within the history.
    first_used: dict[str, int] = {}
    for sending in demo[1]:
        if sending.kind is Kind.USAGE and sending.event["data"]["feature_kind"] == "feature":
            first_used.setdefault(sending.event["data"]["feature"], sending.happened_ms)
    newest = max(first_used, key=lambda name: first_used[name])
    assert demo[0].at - first_used[newest] < 120 * 86_400_000
    categorized = [
        event.event for event in deployment_catalog([demo[0]]) if event.event["type"] == "flexcredits.feature.v1"
    ]
    assert set(first_used) - {event["data"]["feature"] for event in categorized} == {newest}


def test_no_catalog_event_is_of_the_future_in_any_zone() -> None:
    auckland = next(company for company in HAND_WRITTEN if company.time_zone == "Pacific/Auckland")
    for day in range(182):
        at = read_at("2026-09-01T11:02:00Z") + day * 86_400_000  # midnight has just passed there
        past = past_of(1, auckland, at, 1)
        for event in (*past.agents(), *(sending.event for sending in deployment_catalog([past]))):
            assert event["time"] <= instant_text(at)


def test_contracts_are_of_many_kinds(all_sendings: list[Sending]) -> None:
    contracts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    organizations, members = {}, []
    for sending in all_sendings:
        event = sending.event
        match event["type"]:
            case "flexcredits.contract.v1":
                contracts[event["subject"]].append(event)
            case "flexcredits.organization.v1":
                organizations[event["subject"]] = event["data"]
            case "flexcredits.member.v1":
                members.append(event["data"])
    latest = {name: versions[-1]["data"] for name, versions in contracts.items()}
    starts = {period["from"][-2:] for data in latest.values() for period in data["credit_periods"]}
    assert starts == {"01", "15"}
    assert set(organizations) - set(contracts) == {"org_lumen", "org_sim_0002"}
    assert {"Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Auckland"} <= {
        data["time_zone"] for data in organizations.values()
    }
    earlier, later = contracts["org_himal"]
    assert earlier["time"] < later["time"]
    assert int(current_amount(earlier, HIMAL)["total"]) < int(current_amount(later, HIMAL)["total"])
    assert "products" not in current_amount(later, HIMAL)
    assert {"assistant", "agents"} == set(latest["org_tidal"]["credit_periods"][0]["products"])
    assert [add_on["included"] for add_on in latest["org_kauri"]["credit_periods"][0]["add_ons"]] == [True, False]
    assert latest["org_demo"].keys() >= {
        "minimum_commitment",
        "overage_price",
        "credit_price",
        "currency",
        "account_team",
    }
    assert {member["role"] for member in members} == {"super_admin", "admin", "billing_moderator", "member"}
    assert any(member.get("removed") for member in members)
    assert {data["billing_moderator_enabled"] for data in organizations.values()} == {True, False}


@given(
    st.lists(st.integers(0, 10**9), min_size=len(PRODUCTS), max_size=len(PRODUCTS)), st.sampled_from([30, 90, 110, 140])
)
def test_each_product_has_an_amount_however_little_was_used(micro: list[int], level: int) -> None:
    used = dict(zip(PRODUCTS, micro, strict=True))
    span = current_period(Terms(), date(2026, 11, 30))
    for company in (*HAND_WRITTEN, *companies(40)):
        if company.terms is not None and company.terms.amounts:
            amounts = describe(span, company.terms, used, level, 0)["products"]
            assert amounts.keys() == set(company.terms.amounts)
            assert all(int(amount) >= LEAST for amount in amounts.values()), amounts


def current_amount(contract: dict[str, Any], company: Company) -> dict[str, Any]:
    assert company.terms is not None
    period = current_period(company.terms, datetime.fromisoformat(AT).date())
    (entry,) = (entry for entry in contract["data"]["credit_periods"] if entry["id"] == period.id)
    return dict(entry)


@pytest.mark.parametrize(
    "at",
    [
        "2026-11-01T00:10:00Z", "2026-11-14T12:00:00Z", "2026-11-15T08:00:00Z", "2026-08-31T23:30:00Z",
        "2028-02-29T10:00:00Z", "2026-10-25T01:30:00Z", "2027-03-28T01:00:00Z",
    ],
)  # fmt: skip
def test_demo_company_stands_just_below_90_percent_with_its_api_over(at: str) -> None:
    past, _ = play(DEMO, at=at, months=7)
    used, contracted = level(past)
    assert 89 * contracted <= 100 * used < 90 * contracted
    assert DEMO.terms is not None
    period = current_period(DEMO.terms, past.today)
    assert period.begins + timedelta(days=60) < past.today < period.ends - timedelta(days=60)
    (entry,) = (entry for entry in past.contracts[-1]["data"]["credit_periods"] if entry["id"] == period.id)
    by_product = used_in(period, past.used_by_day)
    over = [name for name, amount in entry["products"].items() if by_product[name] > int(amount) * 1_000_000]
    assert over == ["api"]
    assert all(int(amount) % 10 == 0 for amount in entry["products"].values())


def test_live_usage_crosses_90_percent_soon_and_then_calms_down(demo: tuple[Past, list[Sending]]) -> None:
    past = demo[0]
    orbit, _ = play(ORBIT, months=MONTHS_MAX)
    used, contracted = level(past)
    before = used
    opening, crossed = Opening(1, [past, orbit], LIVE_RATE), None
    for sending in opening.sendings(1800):
        if sending.kind in COUNTED and sending.event["subject"] == DEMO.id:
            used += micro_credits(sending.event)
            if crossed is None and 100 * used >= 90 * contracted:
                crossed = (sending.arrives_ms - past.at) / 1000
    assert crossed is not None
    assert 30 < crossed < 120
    assert used - before < 0.3 * usual_day(past)


@pytest.mark.parametrize("at", [AT, "2026-11-28T15:00:00Z"])
def test_a_day_of_live_usage_is_a_day_like_any_other(at: str) -> None:
    past, _ = play(DEMO, at=at, months=8)
    orbit, _ = play(ORBIT, at=at, months=MONTHS_MAX)
    days: Counter[date] = Counter()
    for (day, _product), micro in past.used_by_day.items():
        days[day] += micro
    alike = [days[past.today - timedelta(days=7 * week)] for week in range(1, 9)]
    live: Counter[str] = Counter()
    for sending in Opening(1, [past, orbit], LIVE_RATE).sendings(86_400):
        if sending.kind in COUNTED and sending.arrives_ms - past.at > 1000 * OPENING_S:
            live[sending.event["subject"]] += micro_credits(sending.event)
    assert min(alike) / 2 < live[DEMO.id] < 1.5 * max(alike)
    assert 0.5 * usual_day(orbit) < live[ORBIT.id] < 2 * usual_day(orbit)
    assert days[past.today] + live[DEMO.id] < 2.5 * max(alike)


def test_a_load_touches_no_company_of_the_demo() -> None:
    assert {company.id for company in companies(40)}.isdisjoint(company.id for company in HAND_WRITTEN)
    assert len({company.id for company in companies(40)}) == 40


def test_live_moments_correct_rename_and_top_up(demo: tuple[Past, list[Sending]]) -> None:
    orbit, _ = play(ORBIT, months=MONTHS_MAX)
    opening = Opening(1, [demo[0], orbit], 10)
    late, correction, renamed, top_up = opening.scripted_events()
    assert late.happened_ms < demo[0].at < late.arrives_ms < correction.arrives_ms
    assert correction.event["data"]["corrects"]["id"] == late.event["id"]
    assert renamed.event["data"]["name"] == "Ticket triage and routing"
    used, contracted = level(orbit)
    assert 102 * contracted < 100 * used < 106 * contracted
    orbit.contracts.append(top_up.event)
    used, contracted = level(orbit)
    assert 100 * used < 98 * contracted
    assert [sending for sending in opening.sendings(100) if sending.kind is not Kind.USAGE] == [
        late, correction, renamed, top_up,
    ]  # fmt: skip


def test_backfill_has_the_events_and_series_that_were_asked_for() -> None:
    at = read_at(AT)
    cast = sized(list(companies(200)), 400_000, at, 2, 1500)
    assert len({company.id for company in cast}) == 200
    events = [sending.event for sending in past_of(1, cast[0], at, 2).sendings() if sending.kind is Kind.USAGE]
    others = sum(
        sending.kind is Kind.USAGE for company in cast[1:40] for sending in past_of(1, company, at, 2).sendings()
    )
    expected = 400_000 * sum(company.per_day for company in cast[:40]) / sum(company.per_day for company in cast)
    assert 0.85 * expected < len(events) + others < 1.25 * expected
    series = {
        (data["product"], data["feature_kind"], data["feature"], data.get("agent", {}).get("id"), data["surface"])
        for data in (event["data"] for event in events)
    }
    assert 1350 < len(series) < 1650
