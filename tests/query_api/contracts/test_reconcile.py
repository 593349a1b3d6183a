"""From the feature total to the contract total, compared with a model that counts one event at a time."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Span
from query_api.contracts.domain.periods import CreditPeriod, PeriodKey
from query_api.contracts.domain.reconcile import SUMS, Charges, PeriodUsage, ReconciliationLine, commit, reconcile
from query_api.contracts.domain.terms import AddOn, money
from support.data.table_rows import MICRO, NOW, TableRows
from support.services.query_api import Api

amounts = st.integers(0, 10**13)
some_amount = st.none() | amounts
prices = st.none() | st.integers(0, 10**9)


@st.composite
def credit_periods(draw: st.DrawFn) -> tuple[CreditPeriod, list[AddOn]]:
    products = (draw(some_amount), draw(some_amount), draw(some_amount))
    given_amounts = [amount for amount in products if amount is not None]
    total = draw(st.none() | amounts.map(lambda above: sum(given_amounts) + above))
    add_ons = draw(st.lists(st.builds(AddOn, st.just("Bundle"), amounts, st.booleans()), max_size=4))
    included = [add_on.credits for add_on in add_ons if add_on.included]
    span = Span(date(2026, 1, 1), date(2027, 1, 1))
    return CreditPeriod("c", "p", span, total, products, sum(included) if included else None), add_ons


def pour(available: int, events: Sequence[int]) -> tuple[int, int]:
    """Credits within the available amount and overage, after counting the events one after the other."""
    within, over = 0, 0
    for credits in events:
        if credits >= 0:
            fits = min(credits, available - within)
            within, over = within + fits, over + credits - fits
        else:
            back = min(-credits, over)  # a correction reduces overage first
            within, over = within + credits + back, over - back
    return within, over


def cost(credits: int, price: int) -> Decimal:
    return (Decimal(credits).scaleb(-6) * Decimal(price).scaleb(-6)).quantize(Decimal("1e-6"), ROUND_HALF_EVEN)


@given(
    credit_periods(),
    st.lists(st.integers(-(10**12), 10**12), max_size=20),
    st.lists(st.integers(-(10**12), 10**12), max_size=5),
    prices,
    prices,
    st.none() | st.integers(0, 10**14),
    st.sampled_from(["past", "current", "future"]),
)
def test_every_line_is_what_pouring_the_events_gives(
    given_period: tuple[CreditPeriod, list[AddOn]],
    usage: list[int],
    corrections: list[int],
    credit_price: int | None,
    overage_price: int | None,
    minimum: int | None,
    state: Any,
) -> None:
    period, add_ons = given_period
    used = PeriodUsage(sum(usage) + sum(corrections), sum(corrections), 5)
    commitment = commit([period], {period.key: {"api": used.total}}, "c", minimum)
    lines = reconcile(
        period, state, used, add_ons, Charges("USD", credit_price, credit_price, overage_price), commitment
    )
    within, over = pour(period.available or 0, [*usage, *corrections])
    credits = {line.kind: line.credits for line in lines if line.kind not in ("add_on", "add_on_not_included")}
    assert credits["usage"] == sum(usage)
    assert (credits["within_available"], credits["overage"]) == (within, over)
    assert credits["available"] == (period.available or 0)
    assert credits.get("expired") == (credits["unused"] if state == "past" else None)
    assert credits["contract_total"] == max(minimum or 0, (period.contracted or 0) + over)
    check_sums(lines)

    priced = {"contracted": credit_price, "overage": overage_price, "minimum_commitment": credit_price}
    for line in lines[:-1]:
        price = priced.get(line.kind)
        assert line.price == price
        assert line.money == (None if price is None else int(cost(line.credits, price).scaleb(6))), line
    due = lines[-1].money
    chargeable = [line for line in lines if line.kind in priced and line.credits]
    if any(line.money is None for line in chargeable) or credit_price is overage_price is None:
        assert due is None
    else:
        assert due == sum(line.money or 0 for line in chargeable)


def check_sums(lines: list[ReconciliationLine]) -> None:
    credits = {line.kind: line.credits for line in lines}
    for total, kinds in SUMS:
        assert credits[total] == sum(line.credits for line in lines if line.kind in kinds), total


@given(st.lists(st.tuples(some_amount, st.integers(-5, 10**13)), min_size=1, max_size=6), st.integers(0, 10**14))
def test_totals_of_a_contracts_periods_add_up_to_its_minimum_commitment_or_more(
    amounts_and_uses: list[tuple[int | None, int]], minimum: int
) -> None:
    start = date(2026, 1, 1)
    periods = [
        CreditPeriod("c", f"p{n}", Span(start + timedelta(n), start + timedelta(n + 1)), amount, (None,) * 3, None)
        for n, (amount, _) in enumerate(amounts_and_uses)
    ]
    used = {PeriodKey("c", f"p{n}"): {"api": use} for n, (_, use) in enumerate(amounts_and_uses)}
    commitment = commit(periods, used, "c", minimum)
    total = without = 0
    for period in periods:
        use = PeriodUsage(used[period.key]["api"], 0, 0)
        total += reconcile(period, "past", use, [], Charges(), commitment)[-1].credits
        without += reconcile(period, "past", use, [], Charges(), None)[-1].credits
    assert total == max(minimum, without)


@pytest.mark.parametrize(
    ("credits", "price", "amount"),
    [(MICRO, 12_500, 12_500), (1, 500_000, 0), (1, 500_001, 1), (3, 500_000, 2), (-1, 500_000, 0), (-3, 500_000, -2), (7, None, None)],
)  # fmt: skip
def test_money_is_rounded_half_even_once(credits: int, price: int | None, amount: int | None) -> None:
    assert money(credits, price) == amount


TEAM = {"name": "Grace Hopper", "email": "grace@flexcredits.example", "url": None}


async def acme(db: TableRows) -> int:
    """Two credit periods of 100 credits. In the first one 130 are used, 10 of them late, after corrections of 5."""
    acme = await db.organization()
    await db.contract(
        acme, "c1", "2026-06-15", "2026-12-15", minimum_commitment=400 * MICRO, overage_price=12_500, credit_price=10_000,
        currency="USD", account_team=("Grace Hopper", "grace@flexcredits.example", None),
    )  # fmt: skip
    add_ons = [(20, True), (999, False)]
    await db.period(acme, "c1", "first", "2026-06-15", "2026-09-15", total=100, add_ons=add_ons)
    await db.period(acme, "c1", "second", "2026-09-15", "2026-12-15", total=100, add_ons=add_ons)
    series = await db.use(acme, "api", "namespace", "search", "2026-09-14", 130 * MICRO)
    await db.use(acme, "api", "namespace", "search", "2026-09-15", 60 * MICRO + 1)
    for day, credits in (("2026-06-14", -1), ("2026-09-14", -5 * MICRO), ("2026-09-15", -2 * MICRO)):
        await db.execute(
            "INSERT INTO usage_corrections VALUES ($1, $2, $3, $4, 1)", acme, date.fromisoformat(day), series, credits
        )
    for day, received_on, credits in (("2026-09-13", "2026-09-14", 7), ("2026-09-14", "2026-09-15", 10), ("2026-09-15", "2026-09-20", 3)):  # fmt: skip
        await db.execute(
            "INSERT INTO usage_late VALUES ($1, $2, $3, 'api', $4, 1)",
            acme, date.fromisoformat(day), date.fromisoformat(received_on), credits * MICRO,
        )  # fmt: skip
    return acme


def table(answer: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(line["kind"], line["credits"], line["money"]) for line in answer["lines"]]


async def test_reconcile_a_past_period(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.progress(0, NOW)
    answer = await api.get("/api/v1/reconcile?credit_period=first")
    assert table(answer) == [
        ("usage", "135.000000", None),
        ("corrections", "-5.000000", None),
        ("late", "10.000000", None),
        ("feature_total", "130.000000", None),
        ("within_available", "120.000000", None),
        ("overage", "10.000000", "0.125000"),
        ("contracted", "100.000000", "1.000000"),
        ("add_on", "20.000000", None),
        ("add_on_not_included", "999.000000", None),
        ("available", "120.000000", None),
        ("unused", "0.000000", None),
        ("expired", "0.000000", None),
        ("minimum_commitment", "0.000000", "0.000000"),
        ("contract_total", "110.000000", "1.125000"),
    ]
    overage = answer["lines"][5]
    assert (overage["price"], overage["currency"], overage["included_in"]) == ("0.012500", "USD", None)
    assert [line["included_in"] for line in answer["lines"] if line["kind"] in ("late", "expired")] == ["feature_total", "unused"]  # fmt: skip
    assert answer["sums"][0] == {"total": "feature_total", "parts": ["usage", "corrections"], "credits": "130.000000"}
    del answer["lines"], answer["sums"]
    assert answer == {
        "credit_period": {"id": "first", "contract_id": "c1", "key": "c1/first", "from": "2026-06-15", "to": "2026-09-15"},
        "contract_id": "c1", "state": "past", "amount_due": "1.125000", "currency": "USD", "account_team": TEAM,
        "commitment": {"minimum": "400.000000", "reached": "210.000000", "shortfall": "190.000000", "charged_in": "second"},
        "time_zone": "UTC", "complete_to": "2026-11-22T12:00:00Z",
    }  # fmt: skip


async def test_reconcile_the_current_period_agrees_with_the_overview(api: Api, db: TableRows) -> None:
    await acme(db)
    answer = await api.get("/api/v1/reconcile")
    assert answer == await api.get("/api/v1/reconcile?credit_period=current")
    lines = {line["kind"]: line["credits"] for line in answer["lines"]}
    overview = await api.get("/api/v1/overview")
    assert lines["feature_total"] == overview["credits_used"] == "60.000001"
    assert lines["available"] == overview["credits_available"]
    assert lines["unused"] == overview["remaining"] == "59.999999"
    assert lines["overage"] == overview["overage"] == lines["late"] == "0.000000"
    assert (lines["usage"], lines["corrections"]) == ("62.000001", "-2.000000")
    assert "expired" not in lines
    # The contract's last period: 100 + 10, and 100 of the 400 committed ones.
    assert (lines["minimum_commitment"], lines["contract_total"]) == ("190.000000", "290.000000")
    assert answer["amount_due"] == "2.900000"


async def test_sums_that_are_answered_are_the_sums_of_the_lines(api: Api, db: TableRows) -> None:
    await acme(db)
    for period in ("first", "second"):
        answer = await api.get(f"/api/v1/reconcile?credit_period={period}")
        for total in answer["sums"]:
            parts = [line["credits"] for line in answer["lines"] if line["kind"] in total["parts"]]
            assert sum(map(Decimal, parts)) == Decimal(total["credits"]), total


async def test_without_prices_nothing_is_said_of_money(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.execute("UPDATE contracts SET credit_price = NULL, overage_price = NULL, currency = NULL")
    answer = await api.get("/api/v1/reconcile?credit_period=first")
    assert {(line["money"], line["price"], line["currency"]) for line in answer["lines"]} == {(None, None, None)}
    assert answer["amount_due"] is None


async def test_overage_without_a_price_leaves_the_amount_open_only_where_there_is_some(api: Api, db: TableRows) -> None:
    await acme(db)
    await db.execute("UPDATE contracts SET overage_price = NULL")
    assert (await api.get("/api/v1/reconcile?credit_period=first"))["amount_due"] is None
    assert (await api.get("/api/v1/reconcile?credit_period=second"))["amount_due"] == "2.900000"


async def test_between_two_periods_all_usage_is_overage_and_asking_for_a_period_is_refused(
    api: Api, db: TableRows
) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01", overage_price=2 * MICRO, credit_price=1, currency="EUR")
    await db.period(acme, "c1", "past", "2026-01-01", "2026-11-01", total=10)
    await db.use(acme, "api", "namespace", "search", "2026-11-02", 3 * MICRO)
    answer = await api.get("/api/v1/reconcile")
    assert (answer["credit_period"], answer["state"], answer["contract_id"]) == (None, None, "c1")
    assert ("overage", "3.000000", "6.000000") in table(answer)
    assert table(answer)[-1] == ("contract_total", "3.000000", "6.000000")
    for period in ("current", "never"):
        refused = await api.ask(f"/api/v1/reconcile?credit_period={period}")
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/no-credit-period")
    assert (await api.ask("/api/v1/reconcile?period=past")).status_code == 422
