"""Every page answers for zones and dates at the limits of what can be stored."""

from typing import Any

import pytest
from support.data.table_rows import TableRows
from support.services.query_api import Api

PATHS = (
    "overview", "trend", "trend?range=all", "trend?credit_period=current", "trend?interval=month", "breakdown?product=api&view=namespaces",
    "credit-periods", "freshness", "proof", "reconcile", "alerts", "alerts/settings", "banner", "export/usage.csv", "export/focus.csv",
    "export/table.csv?product=api&view=namespaces", "session",
)  # fmt: skip


async def fill(db: TableRows, zone: str, starts_on: str, ends_on: str) -> int:
    acme = await db.organization(time_zone=zone)
    await db.contract(acme, "c1", starts_on, ends_on, overage_price=2_000_000)
    await db.period(acme, "c1", "p1", starts_on, ends_on, total=1000)
    await db.use(acme, "api", "namespace", "search", "2026-11-20", 5_000_000)
    return acme


async def answers(api: Api) -> dict[str, Any]:
    """The answer of every path."""
    found = {}
    for path in PATHS:
        answer = await api.ask(f"/api/v1/{path}")
        assert answer.status_code == 200, (path, answer.text)
        found[path] = answer.json() if "json" in answer.headers["content-type"] else answer.text
    return found


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(("starts_on", "ends_on"), [("2026-01-01", "9999-12-31"), ("0001-01-01", "9999-12-31"), ("0001-01-01", "2027-01-01")])  # fmt: skip
async def test_a_contract_without_an_end_has_every_answer(
    api: Api, db: TableRows, zone: str, starts_on: str, ends_on: str
) -> None:
    await fill(db, zone, starts_on, ends_on)
    found = await answers(api)
    assert found["overview"]["credits_used"] == "5.000000"
    assert found["overview"]["credit_period"]["to"] == ends_on
    trend = found["trend"]
    assert trend["total"] == "5.000000"
    assert trend == found["trend?credit_period=current"]
    if ends_on == "9999-12-31":
        assert trend["range"] == {"from": max(starts_on, "2000-01-01"), "to": "2026-11-30"}
        assert found["overview"]["recommended_monthly_budget"] is None
        assert found["overview"]["period_elapsed"] is None, "there is no even pace"
    assert "2026-11-20" in found["export/usage.csv"]


@pytest.mark.parametrize("zone", ["posix/Europe/Berlin", "localtime", "EST5EDT", "Nowhere"])
async def test_a_zone_without_rules_has_every_answer(api: Api, db: TableRows, zone: str) -> None:
    await fill(db, zone, "2026-01-01", "2027-01-01")
    found = await answers(api)
    assert found["overview"]["credits_used"] == "5.000000"
    assert found["trend"]["total"] == "5.000000"


async def test_a_credit_period_of_the_far_future_has_a_trend(api: Api, db: TableRows) -> None:
    acme = await fill(db, "UTC", "2026-01-01", "2027-01-01")
    await db.contract(acme, "c2", "2030-05-15", "9999-12-31")
    await db.period(acme, "c2", "p2", "2030-05-15", "9999-12-31", total=1)
    trend = await api.get("/api/v1/trend?credit_period=p2")
    assert trend["range"] == {"from": "2030-05-15", "to": "2030-05-31"}
