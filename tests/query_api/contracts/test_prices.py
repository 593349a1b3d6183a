"""Prices of a contract: the price that a day was charged at, the price that is known now, and the correction between
them."""

import json
import time
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Days, Span
from query_api.contracts.domain.periods import Contract, CreditPeriod
from query_api.contracts.domain.prices import Prices
from query_api.contracts.domain.terms import Price, PriceStep, PriceVersion
from query_api.exports.domain.focus import focus_days
from query_api.exports.domain.focus_corrections import price_corrections
from support.clients.export_files import read_csv, read_file
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

FIRST = date(2026, 1, 1)
EVER = Days(date.min, date.max)
SPAN = Span(FIRST, FIRST + timedelta(days=60))
amounts = st.none() | st.integers(0, 9)
some_prices = st.builds(Price, amounts, amounts, st.just("USD"))
some_days = st.integers(-5, 70).map(lambda after: FIRST + timedelta(days=after))


@st.composite
def versions(draw: st.DrawFn) -> list[PriceVersion]:
    arrivals = sorted(draw(st.lists(some_days, min_size=1, max_size=5)))
    made = []
    for received_on in arrivals:
        begins = sorted(draw(st.sets(some_days, max_size=3)))
        steps = [PriceStep(date.min, draw(some_prices)), *(PriceStep(day, draw(some_prices)) for day in begins)]
        made.append(PriceVersion(received_on, bool(begins), steps))
    return made


@given(versions())
def test_what_was_charged_and_its_corrections_are_the_price_as_it_is_known_now(said: list[PriceVersion]) -> None:
    prices = Prices(said, SPAN)
    repricings = list(prices.repricings())
    for after in range(60):
        day = FIRST + timedelta(days=after)
        chain = [(each.before, each.after) for each in repricings if each.days.first <= day <= each.days.last]
        assert ([prices.charged_on(day), *(new for _, new in chain)])[-1] == prices.price_on(day)
        assert not chain or chain[0][0] == prices.charged_on(day)
        assert all(earlier[1] == later[0] for earlier, later in pairwise(chain))
    assert all(each.days.last < each.made_on for each in repricings)


@given(versions(), some_days)
def test_what_arrives_later_changes_no_charge_of_a_day_that_is_over(said: list[PriceVersion], until: date) -> None:
    known = [version for version in said if version.received_on <= until] or said[:1]
    now, then = Prices(said, SPAN), Prices(known, SPAN)
    for after in range(60):
        day = FIRST + timedelta(days=after)
        if day <= until:
            assert now.charged_on(day) == then.charged_on(day)


def said_by(
    received_on: str, overage: int | None, credit: int | None, *listed: Any, currency: str = "USD"
) -> PriceVersion:
    """A version of a contract. `listed` is begins_on, overage, credit."""
    steps = [PriceStep(date.fromisoformat(begins_on), Price(*prices, currency)) for begins_on, *prices in listed]
    return PriceVersion(
        date.fromisoformat(received_on), bool(listed), [PriceStep(date.min, Price(overage, credit, currency)), *steps]
    )


def schedule_of(*said: PriceVersion) -> list[tuple[str, int | None, int | None, str | None]]:
    schedule = Prices(said, Span(FIRST, date(2028, 1, 1))).schedule
    return [(f"{max(begins_on, FIRST)}", *price) for begins_on, price in schedule]


def test_a_price_that_a_list_leaves_out_stays_as_it_was_before() -> None:
    first = said_by("2026-01-01", 10, 8)
    assert schedule_of(first, said_by("2026-11-15", None, None, ("2026-12-01", 12, None))) == [
        ("2026-01-01", 10, 8, "USD"), ("2026-12-01", 12, 8, "USD"),
    ]  # fmt: skip
    assert schedule_of(first, said_by("2026-11-15", 11, None, ("2026-12-01", 12, None), ("2027-01-01", None, 9))) == [
        ("2026-01-01", 11, 8, "USD"), ("2026-12-01", 12, 8, "USD"), ("2027-01-01", 12, 9, "USD"),
    ]  # fmt: skip
    risen = said_by("2026-06-01", 10, 9)
    assert schedule_of(first, risen, said_by("2026-11-15", None, 7, ("2026-12-01", None, None))) == [
        ("2026-01-01", 10, 7, "USD"), ("2026-06-01", 10, 7, "USD"), ("2026-12-01", 10, 7, "USD"),
    ]  # fmt: skip
    assert schedule_of(first, risen, said_by("2026-11-15", None, None, ("2026-03-01", 12, None))) == [
        ("2026-01-01", 10, 8, "USD"), ("2026-03-01", 12, 8, "USD"),
    ]  # fmt: skip


def test_a_list_in_another_currency_inherits_no_price_of_the_old_one() -> None:
    first = said_by("2026-01-01", 10, 8)
    assert schedule_of(first, said_by("2026-11-15", None, None, ("2026-12-01", 12, None), currency="EUR")) == [
        ("2026-01-01", 10, 8, "USD"), ("2026-12-01", 12, None, "EUR"),
    ]  # fmt: skip


def test_a_list_in_the_first_version_fills_its_own_steps() -> None:
    assert schedule_of(said_by("2026-01-01", 10, 8, ("2026-03-01", 12, None), ("2026-06-01", None, 9))) == [
        ("2026-01-01", 10, 8, "USD"), ("2026-03-01", 12, 8, "USD"), ("2026-06-01", 12, 9, "USD"),
    ]  # fmt: skip


def test_as_many_versions_as_are_kept_take_no_time() -> None:
    """The aggregator keeps at most about 900 price changes of a contract; the export is computed in the event loop."""
    days = [FIRST + timedelta(days=after) for after in range(900)]
    said = [said_by(f"{day}", after, after % 7) for after, day in enumerate(days, 1)]
    rewritten = [said_by(f"{days[-1]}", None, 10 + each, ("2028-01-01", 1, None)) for each in range(20)]
    contract = Contract("c", Span(FIRST, date(2028, 12, 31)), versions=[*said, *rewritten])
    began = time.process_time()
    used = dict.fromkeys(days, MICRO)
    corrections = list(price_corrections([contract], [], used, used, Days(FIRST, date(2028, 12, 31))))
    assert len(corrections) > 10_000
    assert time.process_time() - began < 2


@given(versions(), st.dictionaries(some_days, st.integers(-9, 9)), st.dictionaries(some_days, st.integers(-9, 9)))
def test_corrections_are_the_days_prices_that_changed(
    said: list[PriceVersion], used: dict[date, int], overage: dict[date, int]
) -> None:
    corrections = list(price_corrections([Contract("c", SPAN, versions=said)], [], used, overage, EVER))
    prices, days = Prices(said, SPAN), [FIRST + timedelta(days=after) for after in range(60)]
    worth = billed_for = 0
    for day in days:
        known, now = prices.charged_on(day), prices.price_on(day)
        worth += used.get(day, 0) * ((now.credit or 0) - (known.credit or 0))
        billed_for += overage.get(day, 0) * ((now.overage or 0) - (known.overage or 0))
    assert (sum(each.usage for each in corrections), sum(each.overage for each in corrections)) == (worth, billed_for)
    assert all(
        (each.days.first.year, each.days.first.month) == (each.days.last.year, each.days.last.month)
        for each in corrections
    )
    some = Days(FIRST, FIRST + timedelta(days=20))
    assert list(price_corrections([Contract("c", SPAN, versions=said)], [], used, overage, some)) == [
        each for each in corrections if some.first <= each.made_on <= some.last
    ]


def test_a_contract_corrects_only_the_days_that_it_prices() -> None:
    """Contracts may overlap. The credit period of a day decides whose prices it has; without one, the contract that
    began last."""
    old = Contract(
        "old",
        Span(FIRST, date(2027, 1, 1)),
        versions=[said_by("2026-01-01", 10, 8), said_by("2026-11-15", 30, 20, ("2026-12-01", 1, 1))],
    )
    new = Contract("new", Span(date(2026, 6, 1), date(2027, 6, 1)), versions=[said_by("2026-06-01", 70, 50)])
    july = CreditPeriod("old", "p", Span(date(2026, 7, 1), date(2026, 8, 1)), 1, (None, None, None), None)
    days = [date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)]
    calendar = focus_days(Days(days[0], days[-1]), "UTC", [old, new], [july])
    assert [at.overage_price for at in calendar if at.day in days] == [10, 70, 10]
    used, overage = dict.fromkeys(days, 1000), dict.fromkeys(days, 1)
    corrections = price_corrections([old, new], [july], used, overage, EVER)
    assert [(each.contract_id, each.days.first, each.overage, each.usage) for each in corrections] == [
        ("old", date(2026, 5, 1), 20, 12_000), ("old", date(2026, 7, 1), 20, 12_000),
    ]  # fmt: skip


def version(
    received_at: str,
    overage: int | None,
    credit: int | None,
    *prices: tuple[str, int | None, int | None],
    currency: str = "USD",
) -> Any:
    steps = [(None, overage, credit), *prices]
    return {
        "received_at": f"{received_at}T12:00:00+00:00",
        "currency": currency,
        "is_list": bool(prices),
        "steps": [{"from": begins_on, "overage": over, "credit": worth} for begins_on, over, worth in steps],
    }


async def say(db: TableRows, *said: Any) -> None:
    await db.execute("UPDATE contracts SET price_versions = $1, currency = $2", json.dumps(said), said[-1]["currency"])


async def furnish(db: TableRows) -> int:
    """A period with a single credit, used up on its first day. The rest is overage, ten credits at a time."""
    acme = await db.organization()
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=1)
    await db.use(acme, "api", "namespace", "search", "2026-01-01", MICRO)
    for day in ("2026-09-10", "2026-10-10", "2026-11-10", "2026-11-20"):
        await db.use(acme, "api", "namespace", "search", day, 10 * MICRO)
    return acme


async def month(api: Api, name: str) -> bytes:
    answer = await api.ask(f"/api/v1/export/focus.csv?from={name}&to={name}")
    assert answer.status_code == 200
    return answer.content


def billed(file: bytes) -> Decimal:
    return sum((Decimal(line["BilledCost"]) for line in read_csv(file.decode())), Decimal())


async def amount_due(api: Api) -> tuple[Decimal, list[tuple[str, str, str]]]:
    lines = (await api.get("/api/v1/reconcile"))["lines"]
    overage = [line for line in lines if line["kind"] == "overage"]
    assert all(line["currency"] == "USD" for line in overage)
    return sum(Decimal(line["money"]) for line in overage), [
        (line["label"], line["credits"], line["price"]) for line in overage
    ]


FIRST_SAID = version("2026-01-02", 60_000, 40_000)


async def test_a_changed_price_holds_from_the_day_on_which_it_arrives(api: Api, db: TableRows) -> None:
    await furnish(db)
    await say(db, FIRST_SAID)
    months = [await month(api, name) for name in ("2026-09", "2026-10")]
    assert [billed(file) for file in months] == [Decimal("0.6"), Decimal("0.6")]
    assert await amount_due(api) == (Decimal("2.4"), [("Overage", "40.000000", "0.060000")])
    await say(db, FIRST_SAID, version("2026-11-15", 90_000, 50_000))
    assert [await month(api, name) for name in ("2026-09", "2026-10")] == months
    november = await read_file(api, "/api/v1/export/focus.csv?from=2026-11&to=2026-11")
    assert [
        (line["ChargePeriodStart"][:10], line["ChargeCategory"], line["ContractedUnitPrice"], line["BilledCost"], line["EffectiveCost"])
        for line in november
    ] == [
        ("2026-11-10", "Usage", "0.040000", "0.000000", "0.400000"), ("2026-11-20", "Usage", "0.050000", "0.000000", "0.500000"),
        ("2026-11-10", "Purchase", "0.060000", "0.600000", "0.000000"), ("2026-11-20", "Purchase", "0.090000", "0.900000", "0.000000"),
    ]  # fmt: skip
    assert await amount_due(api) == (
        Decimal("2.7"),
        [("Overage from 2026-01-01", "30.000000", "0.060000"), ("Overage from 2026-11-15", "10.000000", "0.090000")],
    )
    [contract] = (await api.get("/api/v1/credit-periods"))["contracts"]
    assert (contract["overage_price"], contract["credit_price"]) == ("0.090000", "0.050000")
    assert [(price["effective_from"], price["overage_price"]) for price in contract["prices"]] == [
        ("2026-01-01", "0.060000"), ("2026-11-15", "0.090000"),
    ]  # fmt: skip


async def test_the_past_is_changed_by_correction_lines_alone(api: Api, db: TableRows) -> None:
    await furnish(db)
    await say(db, FIRST_SAID)
    months = [await month(api, name) for name in ("2026-09", "2026-10")]
    await say(
        db,
        FIRST_SAID,
        version("2026-11-15", None, None, ("2026-10-01", 50_000, 30_000), ("2027-01-01", 90_000, None)),
    )
    assert [await month(api, name) for name in ("2026-09", "2026-10")] == months
    november = await read_file(api, "/api/v1/export/focus.csv?from=2026-11&to=2026-11")
    corrections = [line for line in november if line["ChargeClass"] == "Correction"]
    assert [
        (line["ChargeCategory"], line["ChargePeriodStart"][:10], line["ChargePeriodEnd"][:10], line["BilledCost"], line["EffectiveCost"])
        for line in corrections
    ] == [
        ("Purchase", "2026-10-01", "2026-11-01", "-0.100000", "0.000000"), ("Usage", "2026-10-01", "2026-11-01", "0.000000", "-0.100000"),
        ("Purchase", "2026-11-01", "2026-11-15", "-0.100000", "0.000000"), ("Usage", "2026-11-01", "2026-11-15", "0.000000", "-0.100000"),
    ]  # fmt: skip
    assert all(
        line["BillingPeriodStart"] == "2026-11-01T00:00:00Z" and line["PricingQuantity"] == "" for line in corrections
    )
    everything = await month(api, "2026-01"), *months, await month(api, "2026-11")
    due, lines = await amount_due(api)
    assert (sum(map(billed, everything)), lines) == (
        due, [("Overage from 2026-01-01", "10.000000", "0.060000"), ("Overage from 2026-10-01", "30.000000", "0.050000")]
    )  # fmt: skip
    assert due == Decimal("2.1")


async def test_amounts_of_two_currencies_are_neither_added_nor_renamed(api: Api, db: TableRows) -> None:
    await furnish(db)
    await db.period(1, "c1", "p0", "2025-01-01", "2026-01-01", total=5)
    await say(db, FIRST_SAID, version("2026-11-15", 90_000, 50_000, currency="EUR"))
    now = await api.get("/api/v1/reconcile")
    priced = {line["label"]: (line["price"], line["money"], line["currency"]) for line in now["lines"]}
    assert priced["Contracted credits"] == (None, None, None)  # bought in dollars
    assert priced["Overage from 2026-01-01"] == (None, None, None)
    assert priced["Overage from 2026-11-15"] == ("0.090000", "0.900000", "EUR")
    assert (now["currency"], now["amount_due"]) == ("EUR", None)
    before = await api.get("/api/v1/reconcile?credit_period=c1/p0")
    [contracted] = [line for line in before["lines"] if line["kind"] == "contracted"]
    assert (contracted["price"], contracted["money"], contracted["currency"]) == ("0.040000", "0.200000", "USD")
    assert (before["currency"], before["amount_due"]) == ("USD", "0.200000")


async def test_a_contract_without_known_versions_has_its_prices_since_ever(api: Api, db: TableRows) -> None:
    await furnish(db)
    await db.execute("UPDATE contracts SET overage_price = 60000, currency = 'USD'")
    assert billed(await month(api, "2026-09")) == Decimal("0.6")


@pytest.mark.parametrize(("zone", "price"), [("Pacific/Auckland", "0.090000"), ("UTC", "0.060000")])
async def test_the_day_of_arrival_is_one_of_the_organizations_zone(
    api: Api, db: TableRows, zone: str, price: str
) -> None:
    acme = await furnish(db)
    await db.execute("UPDATE organizations SET time_zone = $2 WHERE organization_id = $1", acme, zone)
    # Noon of the tenth in UTC is on the eleventh in Auckland: a price of the eleventh does not apply to the tenth.
    await say(db, version("2026-01-02", 90_000, None), version("2026-11-10", 60_000, None))
    lines = await read_file(api, "/api/v1/export/focus.csv?from=2026-11-10&to=2026-11-10")
    [purchase] = [line for line in lines if line["ChargeCategory"] == "Purchase"]
    assert purchase["ContractedUnitPrice"] == price
