"""One-time and recurring budgets: which one applies in a month of the organization's zone, and which one follows."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.alerts.settings.domain.rules import AlertSettings, Budget, NewBudget, RuleSettings
from support.data.table_rows import MICRO, TableRows, local
from support.services.query_api import Api

SETTINGS = "/api/v1/alerts/settings"
OFF = {"enabled": False, "addresses": []}
ZONES = ["Asia/Kathmandu", "America/St_Johns", "UTC"]


async def budget(api: Api, organization: str) -> tuple[Any, ...]:
    """enabled, type, credits, month and resumes of the current month."""
    shown = (await api.get(SETTINGS, organization=organization))["monthly_budget"]
    return tuple(shown[field] for field in ("enabled", "type", "credits", "month", "resumes"))


async def set_budget(api: Api, organization: str, kind: str = "recurring", credits: str | None = None, *, enabled: bool = True) -> Any:  # fmt: skip
    body = {
        "usage": {"thresholds": [75], "additional_recipients": OFF},
        "monthly_budget": {"enabled": enabled, "type": kind, "credits": credits, "thresholds": [75], "additional_recipients": OFF},
    }  # fmt: skip
    version = (await api.get(SETTINGS, organization=organization))["version"]
    answer = await api.send("PUT", SETTINGS, body, headers={"If-Match": f'"{version}"'}, organization=organization)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("zone", ZONES)
async def test_a_one_time_budget_holds_for_its_month_and_the_recurring_one_resumes(
    api: Api, db: TableRows, zone: str
) -> None:
    await db.organization("org_acme", zone)
    november, december = local(zone, "2026-11-01"), local(zone, "2026-12-01")
    instant = timedelta(microseconds=1)
    api.now = november - instant  # still October in this zone, whatever the date in UTC
    await set_budget(api, "org_acme", "one_time", "7")
    assert await budget(api, "org_acme") == (True, "one_time", "7.000000", "2026-10", None)
    api.now = november
    assert await budget(api, "org_acme") == (False, "recurring", None, None, None)  # no recurring budget existed before
    await set_budget(api, "org_acme", "recurring", "40")
    assert await budget(api, "org_acme") == (True, "recurring", "40.000000", None, None)
    await set_budget(api, "org_acme", "one_time", "50")
    for at in (november, december - instant):
        api.now = at
        assert await budget(api, "org_acme") == (True, "one_time", "50.000000", "2026-11", "40.000000")
    for at in (december, december + timedelta(days=200)):
        api.now = at
        assert await budget(api, "org_acme") == (True, "recurring", "40.000000", None, None)
    api.now = december - instant
    await set_budget(api, "org_acme", "one_time", "60")  # a second save keeps the budget that resumes
    assert await budget(api, "org_acme") == (True, "one_time", "60.000000", "2026-11", "40.000000")


async def test_recurring_clears_the_one_time_and_off_clears_both(api: Api, db: TableRows) -> None:
    number = await db.organization()
    await set_budget(api, "org_acme", "recurring", "40")
    await set_budget(api, "org_acme", "one_time", "50")
    await set_budget(api, "org_acme", "recurring", "45")
    assert await budget(api, "org_acme") == (True, "recurring", "45.000000", None, None)
    await set_budget(api, "org_acme", "one_time", "50")
    await set_budget(api, "org_acme", "one_time", "50", enabled=False)
    assert await budget(api, "org_acme") == (False, "recurring", None, None, None)
    (row,) = await db.fetch("SELECT * FROM alert_settings WHERE organization_id = $1", number)
    stored = (row["budget_recurring_credits"], row["budget_once_credits"], row["budget_once_month"])
    assert stored == (None, None, None)


async def test_a_save_in_a_later_month_forgets_the_month_that_is_over(api: Api, db: TableRows) -> None:
    await db.organization("org_acme", "Asia/Kathmandu")
    api.now = local("Asia/Kathmandu", "2026-11-30", "23:59")
    await set_budget(api, "org_acme", "one_time", "50")
    api.now += timedelta(minutes=1)
    await set_budget(api, "org_acme", "one_time", "60")
    assert await budget(api, "org_acme") == (True, "one_time", "60.000000", "2026-12", None)


@pytest.mark.parametrize("zone", ZONES)
async def test_usage_of_this_month_is_that_of_the_organizations_month(api: Api, db: TableRows, zone: str) -> None:
    number = await db.organization("org_acme", zone)
    for day, credits in (("2026-10-31", 1), ("2026-11-01", 10), ("2026-11-30", 100), ("2026-12-01", 1000)):
        await db.use(number, "api", "namespace", "search", day, credits * MICRO)
    for at, used in (
        (local(zone, "2026-11-01") - timedelta(microseconds=1), "1.000000"), (local(zone, "2026-11-01"), "110.000000"),
        (local(zone, "2026-12-01") - timedelta(microseconds=1), "110.000000"), (local(zone, "2026-12-01"), "1000.000000"),
    ):  # fmt: skip
        api.now = at
        assert (await api.get(SETTINGS))["monthly_budget"]["used_this_month"] == used


SAVES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["off", "recurring", "one_time"]), st.integers(1, 9)), max_size=12
)


@given(SAVES)
def test_the_budget_of_every_month_is_that_of_a_model(saves: list[tuple[int, str, int]]) -> None:
    """The model stores the last one-time save with its month, and the recurring budget."""
    settings, number = AlertSettings(), 0
    recurring: int | None = None
    once: tuple[int, int] | None = None
    for later, kind, credits in saves:
        number += later
        asked = NewBudget(kind != "off", "one_time" if kind == "one_time" else "recurring", credits, RuleSettings())
        settings = settings.changed_to(RuleSettings(), asked, month(number))
        if kind == "one_time":
            once = (number, credits)
        else:
            recurring, once = (credits if kind == "recurring" else None), None
        for ahead in range(3):
            at, expected = month(number + ahead), None
            if once is not None and once[0] == number + ahead:
                expected = Budget("one_time", once[1], at, recurring)
            elif recurring is not None:
                expected = Budget("recurring", recurring)
            assert settings.budget_in(at) == expected


def month(number: int) -> date:
    return date(2026 + number // 12, number % 12 + 1, 1)
