"""Contracts and credit periods, from rows in a real database."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flexcredits_schemas.events import PRODUCTS
from query_api.calendar import days_of
from query_api.contracts.queries import select_credit_periods, sum_periods, sum_products
from query_api.db.session import read_as
from runtime.postgres.pool import Pool
from support.data.table_rows import MICRO, NOW, TableRows, local
from support.services.query_api import Api

TEAM = ("Grace Hopper", None, "https://flexcredits.example/acme")


async def acme(db: TableRows, time_zone: str = "UTC") -> int:
    """A contract with a past, a current and a future credit period, and an older contract without prices."""
    acme = await db.organization(time_zone=time_zone)
    await db.contract(acme, "c0", "2025-06-15", "2026-06-15")
    await db.period(acme, "c0", "only", "2025-06-15", "2026-06-15", total=50)
    await db.contract(
        acme, "c1", "2026-06-15", "2027-06-15", minimum_commitment=500 * MICRO, overage_price=12_500, credit_price=10_000,
        currency="USD", account_team=TEAM,
    )  # fmt: skip
    await db.period(acme, "c1", "first", "2026-06-15", "2026-09-15", total=100, assistant=80, add_ons=[(10, True)])
    await db.period(
        acme, "c1", "second", "2026-09-15", "2026-12-15", assistant=300, agents=100, add_ons=[(20, True), (999, False)]
    )
    await db.period(acme, "c1", "third", "2026-12-15", "2027-06-15")
    for day, credits in (("2026-06-15", 7), ("2026-09-14", 20), ("2026-09-15", 300), ("2026-11-22", 50)):
        await db.use(acme, "assistant", "tool", "search", day, credits * MICRO, partition=credits % 3)
    await db.use(acme, "api", "namespace", "search", "2026-09-14", 1)
    await db.use(acme, "api", "namespace", "search", "2025-06-14", 9 * MICRO)  # before every contract
    return acme


async def test_credit_periods_newest_first_with_what_became_of_them(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.progress(0, NOW)
    answer = await api.get("/api/v1/credit-periods")
    third, second, first, only = answer.pop("credit_periods")
    assert second == {
        "id": "second", "contract_id": "c1", "key": "c1/second", "from": "2026-09-15", "to": "2026-12-15", "state": "current",
        "contracted": "400.000000",
        "unallocated": "0.000000",
        "products": [
            {"product": "assistant", "used": "350.000000", "contracted": "300.000000", "overage": "50.000000"},
            {"product": "agents", "used": "0.000000", "contracted": "100.000000", "overage": "0.000000"},
            {"product": "api", "used": "0.000000", "contracted": None, "overage": None},
        ],
        "add_ons": [
            {"name": "Add-on", "credits": "20.000000", "included": True},
            {"name": "Add-on", "credits": "999.000000", "included": False},
        ],
        "available": "420.000000", "used": "350.000000", "remaining": "70.000000", "expired": None, "overage": "0.000000",
        "percent_used": "83.33",
    }  # fmt: skip
    assert pick(first) == [
        "first",
        "past",
        "100.000000",
        "20.000000",
        "110.000000",
        "27.000001",
        None,
        "82.999999",
        "0.000000",
    ]
    assert pick(only) == [
        "only",
        "past",
        "50.000000",
        "50.000000",
        "50.000000",
        "0.000000",
        None,
        "50.000000",
        "0.000000",
    ]
    assert pick(third) == ["third", "future", None, None, None, "0.000000", None, None, "0.000000"]
    assert answer == {
        "contracts": [
            {
                "id": "c1", "from": "2026-06-15", "to": "2027-06-15", "state": "current", "minimum_commitment": "500.000000",
                "overage_price": "0.012500", "credit_price": "0.010000", "currency": "USD",
                "prices": [{"effective_from": "2026-06-15", "overage_price": "0.012500", "credit_price": "0.010000", "currency": "USD"}],
                "account_team": {"name": "Grace Hopper", "email": None, "url": "https://flexcredits.example/acme"},
            },
            {
                "id": "c0", "from": "2025-06-15", "to": "2026-06-15", "state": "past", "minimum_commitment": None,
                "overage_price": None, "credit_price": None, "currency": None, "prices": [{"effective_from": "2025-06-15", "overage_price": None, "credit_price": None, "currency": None}], "account_team": None,
            },
        ],
        "time_zone": "UTC",
        "complete_to": "2026-11-22T12:00:00Z",
    }  # fmt: skip


def pick(period: dict[str, Any]) -> list[Any]:
    names = ("id", "state", "contracted", "unallocated", "available", "used", "remaining", "expired", "overage")
    return [period[name] for name in names]


async def test_periods_of_one_id_in_two_contracts_are_kept_apart(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for year in (2025, 2026):
        await db.contract(acme, f"c{year}", f"{year}-01-01", f"{year + 1}-01-01")
        await db.period(acme, f"c{year}", "year", f"{year}-01-01", f"{year + 1}-01-01", total=year)
        await db.use(acme, "api", "namespace", "search", f"{year}-12-31", year * MICRO)
    answer = await api.get("/api/v1/credit-periods")
    assert [(period["contract_id"], period["used"], period["percent_used"]) for period in answer["credit_periods"]] == [
        ("c2026", "2026.000000", "100.00"),
        ("c2025", "2025.000000", "100.00"),
    ]


async def test_a_top_up_in_the_middle_of_a_period_changes_what_is_available_and_not_what_was_used(
    api: Api, db: TableRows
) -> None:
    await acme(db)
    await db.execute("UPDATE credit_periods SET total = 600 * 1000000 WHERE credit_period_id = 'second'")
    _, second, *_ = (await api.get("/api/v1/credit-periods"))["credit_periods"]
    assert pick(second)[2:7] == ["600.000000", "200.000000", "620.000000", "350.000000", "270.000000"]
    overview = await api.get("/api/v1/overview")
    assert (overview["unallocated"], overview["add_ons"], overview["remaining"]) == (
        "200.000000",
        "20.000000",
        "270.000000",
    )
    # November and December remain.
    budget = {"credits": "135.000000", "remaining_credits": "270.000000", "remaining_months": 2}
    assert overview["recommended_monthly_budget"] == budget


async def test_late_usage_leaves_less_to_expire(api: Api, db: TableRows) -> None:
    acme_ = await acme(db)
    for day, expired, overage in (("2026-07-01", "2.999999", "0.000000"), ("2026-09-14", "0.000000", "77.000001")):
        await db.use(acme_, "agents", "tool", "search", day, 80 * MICRO, agent="a")
        _, _, first, _ = (await api.get("/api/v1/credit-periods"))["credit_periods"]
        assert (first["expired"], first["overage"]) == (expired, overage)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland", "UTC"])
async def test_a_period_is_past_from_the_organizations_midnight_on(api: Api, db: TableRows, zone: str) -> None:
    await acme(db, zone)
    midnight = local(zone, "2026-12-15")
    for now, states in ((midnight - timedelta(seconds=1), ["future", "current"]), (midnight, ["current", "past"])):
        api.now = now
        answer = await api.get("/api/v1/credit-periods")
        assert [period["state"] for period in answer["credit_periods"]] == [*states, "past", "past"]
        overview = await api.get("/api/v1/overview")
        assert overview["credit_period"]["id"] == ("third" if now == midnight else "second")


async def test_an_organization_without_a_contract_has_nothing_to_choose_from(api: Api, db: TableRows) -> None:
    await db.organization()
    answer = await api.get("/api/v1/credit-periods")
    assert (answer["credit_periods"], answer["contracts"]) == ([], [])


async def test_overage_comes_with_the_account_team(api: Api, db: TableRows) -> None:
    acme_ = await acme(db)
    team = {"name": "Grace Hopper", "email": None, "url": "https://flexcredits.example/acme"}
    assert (await api.get("/api/v1/overview"))["account_team"] == team  # only Assistant is over
    await db.execute("UPDATE credit_periods SET assistant = 350 * 1000000 WHERE credit_period_id = 'second'")
    await db.execute("UPDATE contracts SET event_offset = event_offset + 1")
    assert (await api.get("/api/v1/overview"))["account_team"] is None
    await db.use(acme_, "api", "namespace", "search", "2026-11-22", 1 + 120 * MICRO)
    assert (await api.get("/api/v1/overview"))["account_team"] == team


async def test_sums_of_all_periods_are_those_of_each(db: TableRows, pool: Pool) -> None:
    await acme(db)
    async with read_as(pool, "org_acme", "") as session:
        by_period = await sum_periods(session)
        for period in await select_credit_periods(session):
            [alone] = await sum_products(session, days_of(period.span))
            assert by_period.get(period.key, dict.fromkeys(PRODUCTS, 0)) == alone


async def furnish_two_contracts(db: TableRows) -> int:
    """Two years, each with its own contract whose only period has the id `year-1`, as is common."""
    acme = await db.organization()
    for year, credits in ((2025, 5), (2026, 7)):
        await db.contract(acme, f"c{year}", f"{year}-01-01", f"{year + 1}-01-01")
        await db.period(acme, f"c{year}", "year-1", f"{year}-01-01", f"{year + 1}-01-01", total=year)
        await db.use(acme, "assistant", "tool", "jira", f"{year}-11-02", credits * 1_000_000)
    return acme


async def test_two_contracts_may_call_their_periods_the_same(api: Api, db: TableRows) -> None:
    await furnish_two_contracts(db)
    answer = await api.get("/api/v1/credit-periods")
    assert [(period["id"], period["key"]) for period in answer["credit_periods"]] == [
        ("year-1", "c2026/year-1"), ("year-1", "c2025/year-1"),
    ]  # fmt: skip
    overview = await api.get("/api/v1/overview")
    assert overview["credit_period"] == {
        "id": "year-1", "contract_id": "c2026", "key": "c2026/year-1", "from": "2026-01-01", "to": "2027-01-01",
    }  # fmt: skip
    for year, total in ((2025, "5.000000"), (2026, "7.000000")):
        query = f"credit_period=c{year}/year-1"
        breakdown = await api.get(f"/api/v1/breakdown?product=assistant&view=tools&{query}")
        assert (breakdown["range"]["from"], breakdown["total"]) == (f"{year}-01-01", total)
        assert (await api.get(f"/api/v1/trend?{query}"))["total"] == total
        reconciliation = await api.get(f"/api/v1/reconcile?{query}")
        assert (reconciliation["contract_id"], reconciliation["credit_period"]["key"]) == (
            f"c{year}",
            f"c{year}/year-1",
        )
        for file in ("usage.csv?", "focus.csv?", "table.csv?product=assistant&view=tools&"):
            exported = await api.ask(f"/api/v1/export/{file}{query}")
            assert f"_{year}-01-01_{year}-12-31_" in exported.headers["content-disposition"]
            assert total in exported.text


async def test_an_id_of_several_periods_is_answered_by_their_differences(api: Api, db: TableRows) -> None:
    await furnish_two_contracts(db)
    for path in (
        "breakdown?product=assistant&view=tools&",
        "trend?",
        "reconcile?",
        "export/usage.csv?",
        "deleted-agents?",
    ):
        answer = await api.ask(f"/api/v1/{path}credit_period=year-1")
        assert answer.status_code == 422, path
        [error] = answer.json()["errors"]
        assert error["parameter"] == "credit_period"
        assert error["detail"].endswith("use one of: `c2025/year-1`, `c2026/year-1`")


@pytest.mark.parametrize("name", ["current", "all", "c/1", "100%", "c/c%2F1", "Jahr 1", "=1"])
async def test_every_period_can_be_reached_whatever_its_id_is(api: Api, db: TableRows, name: str) -> None:
    acme = await db.organization()
    await db.contract(acme, "c", "2025-01-01", "2026-01-01")
    await db.period(acme, "c", name, "2025-01-01", "2025-07-01", total=1)
    await db.period(acme, "c", "1", "2025-07-01", "2026-01-01", total=1)
    [key] = [
        period["key"] for period in (await api.get("/api/v1/credit-periods"))["credit_periods"] if period["id"] == name
    ]
    assert (await api.get(f"/api/v1/trend?credit_period={quote(key)}"))["range"]["from"] == "2025-01-01"
    if name not in ("current", "c/1"):  # these names have a special meaning
        assert (await api.get(f"/api/v1/trend?credit_period={quote(name)}"))["range"]["from"] == "2025-01-01"
    assert (await api.get("/api/v1/trend?credit_period=c/1"))["range"]["from"] == "2025-07-01"


async def test_an_alert_names_the_period_that_it_fired_in(api: Api, db: TableRows) -> None:
    acme = await furnish_two_contracts(db)
    await db.execute(
        "INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, threshold, episode, starts_on, ends_on, fired_at, used,"
        " available, notification) VALUES ($1, 'usage', 'c2025', 'year-1', 75, 1, '2025-01-01', '2026-01-01', now(), 1, 1, 'suppressed'),"
        " ($1, 'budget', '', '2025-11', 75, 1, '2025-11-01', '2025-12-01', now(), 1, 1, 'suppressed')",
        acme,
    )
    month, period = (alert["period"] for alert in (await api.get("/api/v1/alerts"))["alerts"])
    assert (period["contract_id"], period["key"]) == ("c2025", "c2025/year-1")
    assert (month["id"], month["contract_id"], month["key"]) == ("2025-11", None, None)
