"""Projected thresholds in settings, banner and history."""

from datetime import date, timedelta
from typing import Any

import pytest
from query_api.alerts.settings.domain.rules import Mistake, NewBudget, RuleSettings, find_mistakes
from support.data.table_rows import MICRO, NOW, TableRows
from support.services.query_api import Api

SETTINGS = "/api/v1/alerts/settings"
OFF = {"enabled": False, "addresses": []}
TODAY = NOW.date()
DATES = {"p10": "2026-12-03", "p50": "2026-12-09", "p90": None}


def body(usage: Any = None, budget: Any = None) -> dict[str, Any]:
    """Both lists of projected thresholds; None: left out."""
    asked: dict[str, Any] = {
        "usage": {"thresholds": [90], "additional_recipients": OFF},
        "monthly_budget": {
            "enabled": True, "type": "recurring", "credits": "50", "thresholds": [], "additional_recipients": OFF,
        },
    }  # fmt: skip
    for part, thresholds in (("usage", usage), ("monthly_budget", budget)):
        if thresholds is not None:
            asked[part]["projected_thresholds"] = thresholds
    return asked


async def put(api: Api, version: int, asked: dict[str, Any]) -> Any:
    return await api.send("PUT", SETTINGS, asked, headers={"If-Match": f'"{version}"'})


async def projection(db: TableRows, number: int, rule: str = "usage", period: str = "p1", **changed: Any) -> None:
    columns = {"thresholds": [90, 100], "permilles": [900, 600], "refusal": None, "detail": None} | changed
    found = [] if columns["refusal"] else columns["thresholds"]
    await db.execute(
        "INSERT INTO alert_projections VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        number, rule, "c1" if rule == "usage" else "", period, date(2026, 1, 1), date(2027, 1, 1), TODAY, 100 * MICRO, columns["thresholds"],
        columns["permilles"] if found else [], [date(2026, 12, 3) for _ in found], [date(2026, 12, 9) for _ in found],
        [None for _ in found], columns["refusal"], columns["detail"], NOW,
    )  # fmt: skip


async def customer(db: TableRows) -> int:
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    return number


async def test_projected_thresholds_are_off_until_saved_and_kept_when_left_out(api: Api, db: TableRows) -> None:
    await customer(db)
    settings = await api.get(SETTINGS)
    for part in ("usage", "monthly_budget"):
        assert (settings[part]["projected_thresholds"], settings["projections"][part]) == ([], None)
    saved = (await put(api, 0, body([100], [90, 100]))).json()
    assert saved == await api.get(SETTINGS)
    assert (saved["usage"]["projected_thresholds"], saved["monthly_budget"]["projected_thresholds"]) == (
        [100],
        [90, 100],
    )
    kept = (await put(api, 1, body(None, None))).json()
    assert (kept["usage"]["projected_thresholds"], kept["monthly_budget"]["projected_thresholds"]) == ([100], [90, 100])
    off = (await put(api, 2, body([], [100]))).json()
    assert (off["usage"]["projected_thresholds"], off["monthly_budget"]["projected_thresholds"]) == ([], [100])
    entry = await db.fetch("SELECT details FROM audit_log ORDER BY audit_id DESC LIMIT 1")
    assert '"projected_thresholds": [100]' in entry[0]["details"]
    assert len(await db.fetch("SELECT FROM alert_wakeups")) == 3


@pytest.mark.parametrize(
    ("thresholds", "pointer"),
    [
        ([0], "/usage/projected_thresholds/0"),
        ([201], "/usage/projected_thresholds/0"),
        ([100, "90"], "/usage/projected_thresholds/1"),
        ([90, 100, 90], "/usage/projected_thresholds/2"),
        ([*range(1, 12)], "/usage/projected_thresholds"),
        ("100", "/usage/projected_thresholds"),
    ],
)
async def test_each_mistake_has_its_place(api: Api, db: TableRows, thresholds: Any, pointer: str) -> None:
    await customer(db)
    refused = await put(api, 0, body(thresholds, [100]))
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


def test_a_budget_needs_a_threshold_of_either_kind() -> None:
    def mistakes(rule: RuleSettings) -> list[Mistake]:
        return find_mistakes(None, NewBudget(True, "recurring", 1, rule))

    assert mistakes(RuleSettings((), projected=(100,))) == []
    assert mistakes(RuleSettings((90,))) == []
    assert [mistake.pointer for mistake in mistakes(RuleSettings(()))] == ["/monthly_budget/thresholds"]


async def test_the_settings_say_when_thresholds_are_passed_or_why_not(api: Api, db: TableRows) -> None:
    number = await customer(db)
    await put(api, 0, body([100], [100]))
    await projection(db, number)
    await projection(
        db, number, "budget", "2026-11", refusal="too_few_days", detail="A projection needs 14 complete days."
    )
    settings = await api.get(SETTINGS)
    assert settings["projections"]["usage"] == {
        "on": f"{TODAY}", "thresholds": [{"threshold": 100} | DATES], "refusal": None,
    }  # fmt: skip
    assert settings["projections"]["monthly_budget"] == {
        "on": f"{TODAY}", "thresholds": [], "refusal": "A projection needs 14 complete days.",
    }  # fmt: skip
    await db.execute("UPDATE alert_projections SET period_id = 'former'")
    settings = await api.get(SETTINGS)
    assert (settings["projections"]["usage"], settings["projections"]["monthly_budget"]) == (None, None)


async def test_banner_and_history_have_kind_and_date(api: Api, db: TableRows) -> None:
    number = await customer(db)
    await db.execute(
        "INSERT INTO alert_firings (organization_id, rule, contract_id, period_id, kind, threshold, episode, starts_on, ends_on,"
        " fired_at, used, available, notification, mail_context, passed_p10, passed_p50) VALUES ($1, 'usage', 'c1', 'p1',"
        " 'projected', 100, 1, '2026-01-01', '2027-01-01', $2, 60000000, 100000000, 'sent', '{}', $3, $4)",
        number, NOW - timedelta(days=1), date(2026, 12, 1), date(2026, 12, 7),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO banners (organization_id, contract_id, period_id, kind, threshold, episode, fired_at)"
        " VALUES ($1, 'c1', 'p1', 'projected', 100, 1, $2)", number, NOW,
    )  # fmt: skip
    fired = {"p10": "2026-12-01", "p50": "2026-12-07", "p90": None}
    assert (await api.get("/api/v1/banner"))["passed_on"] == fired, "before the next projection"
    await projection(db, number)
    banner = await api.get("/api/v1/banner")
    assert (banner["kind"], banner["threshold"], banner["passed_on"]) == ("projected", 100, DATES)
    [alert] = (await api.get("/api/v1/alerts"))["alerts"]
    assert (alert["kind"], alert["passed_on"], alert["percent_used"]) == ("projected", fired, "60.00")
    assert (await api.get(f"/api/v1/alerts/{alert['id']}"))["passed_on"] == fired
    dismissed = await api.send("POST", "/api/v1/banner/dismiss", {"id": banner["id"]})
    assert dismissed.status_code == 204
    assert (await api.get("/api/v1/banner"))["dismissed"]
