"""A preview equals what the alerter would have done, by a small model over random histories and contracts."""

import random
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from query_api.alerts.settings.domain.preview import WouldFire, would_fire
from query_api.alerts.settings.domain.rules import Recipients, mail_recipients
from query_api.calendar import Span
from support.data.table_rows import MICRO, NOW, TableRows
from support.services.query_api import Api

PREVIEW = "/api/v1/alerts/preview"
OFF = {"enabled": False, "addresses": []}
BEGIN = date(2026, 1, 1)


def model(by_day: dict[date, int], span: Span, available: int | None, percents: list[int]) -> list[WouldFire]:
    """The first day of the span at whose end the threshold is met. Of several thresholds on one day, the highest sends
    mail."""
    firings = []
    days = [span.starts_on + timedelta(days=n) for n in range((span.ends_on - span.starts_on).days)]
    for percent in percents:
        for day in days:
            used = sum(credits for other, credits in by_day.items() if span.starts_on <= other <= day)
            if day in by_day and available and available > 0 and used * 100 >= available * percent:
                firings.append((day, percent, used))
                break
    return [
        WouldFire(percent, day, used, "sent" if percent == max(p for d, p, _ in firings if d == day) else "bundled")
        for day, percent, used in sorted(firings)
    ]


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[date, int], Span, int | None, list[int]]:
    days = st.integers(0, 40).map(lambda n: BEGIN + timedelta(days=n))
    by_day = draw(st.dictionaries(days, st.integers(-60, 120), max_size=25))  # corrections may make a day negative
    begins, length = draw(st.integers(0, 30)), draw(st.integers(1, 20))
    span = Span(BEGIN + timedelta(days=begins), BEGIN + timedelta(days=begins + length))
    percents = draw(st.lists(st.integers(1, 200), max_size=10, unique=True))
    return by_day, span, draw(st.none() | st.integers(0, 300)), percents


@given(histories())
def test_what_would_have_fired_is_the_models(history: tuple[dict[date, int], Span, int | None, list[int]]) -> None:
    assert would_fire(*history) == model(*history)


def asked(thresholds: list[int], addresses: list[str] | None = None, **budget: Any) -> dict[str, Any]:
    recipients = {"enabled": addresses is not None, "addresses": addresses or []}
    return {"thresholds": thresholds, "additional_recipients": recipients} | budget


async def test_previews_of_random_organizations_are_the_models(api: Api, db: TableRows) -> None:
    api.now = NOW
    for seed in range(12):
        chance = random.Random(seed)
        name = f"org_{seed}"
        number = await db.organization(name, chance.choice(["UTC", "Asia/Kathmandu", "America/St_Johns"]))
        by_day: dict[date, int] = {}
        for _ in range(chance.randrange(60)):
            day = date(2026, 11, 22) - timedelta(days=chance.randrange(500))
            credits = chance.randrange(1, 50) * MICRO + chance.randrange(3)
            write = db.use
            if day in by_day and chance.random() < 0.3:
                credits, write = -min(credits, by_day[day]), db.correct
            await write(number, chance.choice(["assistant", "agents", "api"]), "tool", "search", f"{day}", credits)
            by_day[day] = by_day.get(day, 0) + credits
        periods, starts = [], date(2025, 7, 1) + timedelta(days=chance.randrange(60))
        await db.contract(number, "c1", "2025-07-01", "2028-01-01")
        for index in range(chance.randrange(4)):
            ends = starts + timedelta(days=chance.randrange(20, 300))
            total = chance.choice([None, 0, chance.randrange(1, 400)])
            add_ons = [(chance.randrange(1, 50), chance.random() < 0.5)] if total else None
            await db.period(number, "c1", f"p{index}", f"{starts}", f"{ends}", total=total, add_ons=add_ons)
            included = sum(credits for credits, is_included in add_ons or [] if is_included)
            periods.append((f"p{index}", Span(starts, ends), None if total is None else (total + included) * MICRO))
            starts = ends + timedelta(days=chance.choice([0, 0, 15]))
        percents = chance.sample(range(1, 201), chance.randrange(10))
        budget = chance.randrange(1, 100)
        months = [date(2025 + (10 + n) // 12, (10 + n) % 12 + 1, 1) for n in range(13)]
        body = {"usage": asked(percents), "monthly_budget": asked(percents or [50], enabled=True, type="recurring", credits=budget)}  # fmt: skip
        answer = await api.send("POST", PREVIEW, body, organization=name)
        assert answer.status_code == 200, answer.text
        preview = answer.json()
        assert [(f["credit_period"]["id"], f["threshold"], f["on"], f["used"], f["notification"], f["available"]) for f in preview["usage"]["firings"]] == [
            (period, fired.threshold, f"{fired.on}", text(fired.used), fired.notification, text(available or 0))
            for period, span, available in periods
            for fired in model(by_day, span, available, percents)
        ]  # fmt: skip
        assert [(f["month"], f["threshold"], f["on"], f["used"], f["notification"], f["budget"]) for f in preview["monthly_budget"]["firings"]] == [
            (f"{month:%Y-%m}", fired.threshold, f"{fired.on}", text(fired.used), fired.notification, text(budget * MICRO))
            for month in months
            for fired in model(by_day, Span(month, (month + timedelta(days=31)).replace(day=1)), budget * MICRO, percents or [50])
        ]  # fmt: skip


def text(micro_credits: int) -> str:
    return f"{micro_credits // MICRO}.{micro_credits % MICRO:06}"


async def test_several_thresholds_of_one_day_are_one_mail_and_a_correction_does_not_unsay_it(
    api: Api, db: TableRows
) -> None:
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-09-15", "2026-12-15", total=100)
    for day, credits in (("2026-09-14", 500), ("2026-09-15", 60), ("2026-10-02", 35), ("2026-10-20", 80), ("2026-12-15", 500)):  # fmt: skip
        await db.use(number, "api", "namespace", "search", day, credits * MICRO)
    await db.correct(number, "api", "namespace", "search", "2026-10-10", -70 * MICRO)
    answer = await api.send("POST", PREVIEW, {"usage": asked([75, 90, 50, 100])})
    period = {"id": "p1", "contract_id": "c1", "key": "c1/p1", "from": "2026-09-15", "to": "2026-12-15"}
    assert answer.json() == {
        "usage": {
            "firings": [
                fired(50, "2026-09-15", 60, "sent", period), fired(75, "2026-10-02", 95, "bundled", period),
                fired(90, "2026-10-02", 95, "sent", period), fired(100, "2026-10-20", 105, "sent", period),
            ],
            "recipients": [],
        },
        "monthly_budget": None,
    }  # fmt: skip


def fired(threshold: int, on: str, used: int, notification: str, period: dict[str, str]) -> dict[str, Any]:
    return {
        "threshold": threshold, "credit_period": period, "on": on, "used": f"{used}.000000", "available": "100.000000", "notification": notification,
    }  # fmt: skip


async def test_a_preview_lists_the_recipients_of_the_mails(api: Api, db: TableRows) -> None:
    number = await db.organization(billing_moderators=True)
    for email, role in (("ada@acme.example", "super_admin"), ("chi@acme.example", "billing_moderator"), ("dev@acme.example", "member")):  # fmt: skip
        await db.member(number, email, role)
    added = ["Zoe@acme.example", "ADA@acme.example", "Bo@acme.example"]
    off = {"thresholds": [75], "additional_recipients": {"enabled": False, "addresses": added}}
    body = {"usage": asked([75], added), "monthly_budget": off | {"enabled": False, "type": "recurring", "credits": None}}  # fmt: skip
    preview = (await api.send("POST", PREVIEW, body)).json()
    roles = ["ada@acme.example", "chi@acme.example"]
    assert preview["usage"]["recipients"] == [roles[0], "Bo@acme.example", roles[1], "Zoe@acme.example"]
    assert preview["monthly_budget"] == {"firings": [], "recipients": roles}


@given(st.lists(st.sampled_from(["a@x", "A@x", "b@x", "B@X", "c@x"])), st.booleans())
def test_no_recipient_is_notified_twice(addresses: list[str], is_on: bool) -> None:
    notified = mail_recipients(["b@x", "d@x"], Recipients(is_on, addresses))
    keys = [address.lower() for address in notified]
    assert keys == sorted({"b@x", "d@x"} | ({address.lower() for address in addresses} if is_on else set()))


async def test_a_preview_saves_nothing_and_has_the_mistakes_of_a_save(api: Api, db: TableRows) -> None:
    await db.organization()
    wrong = {"usage": asked([5, 5]), "monthly_budget": asked([], enabled=True, type="recurring", credits=0)}
    answer = await api.send("POST", PREVIEW, wrong)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/usage/thresholds/1", "/monthly_budget/credits", "/monthly_budget/thresholds"]  # fmt: skip
    assert (await api.send("POST", PREVIEW, {})).json() == {"usage": None, "monthly_budget": None}
    assert (await api.send("POST", PREVIEW, {"usage": asked([75])}, organization="org_unknown")).status_code == 200
    assert await db.count("SELECT count(*) FROM alert_settings") == 1  # the default settings
    assert await db.count("SELECT (SELECT count(*) FROM alert_wakeups) + (SELECT count(*) FROM audit_log)") == 0


async def test_a_preview_reads_one_organizations_history(api: Api, db: TableRows) -> None:
    number, other = await db.organization(), await db.organization("org_other")
    await db.use(other, "api", "namespace", "search", "2026-11-01", 100 * MICRO)
    await db.use(number, "api", "namespace", "search", "2026-11-02", 40 * MICRO)
    await db.member(other, "eve@other.example")
    body = {"monthly_budget": asked([75, 100], enabled=True, type="one_time", credits=50)}
    budget = (await api.send("POST", PREVIEW, body)).json()["monthly_budget"]
    assert budget == {
        "firings": [{"threshold": 75, "month": "2026-11", "on": "2026-11-02", "used": "40.000000", "budget": "50.000000", "notification": "sent"}],
        "recipients": [],
    }  # fmt: skip
