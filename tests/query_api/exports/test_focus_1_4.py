"""FOCUS 1.4, Cost and Usage: its columns, the sums of the overview and the invoice, and the official schema of ContractApplied."""

import json
from datetime import date, timedelta
from decimal import Decimal
from operator import itemgetter

from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Days, Span
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.domain.periods import Contract, CreditPeriod
from query_api.contracts.domain.prices import prices_of
from query_api.contracts.domain.terms import AddOn, Price, PriceStep, PriceVersion, Terms
from query_api.db.statements import SQL
from query_api.exports.domain.cells import GUARDED
from query_api.exports.domain.focus import BillingAccount
from query_api.exports.focus.batches import PEOPLE_ROWS
from query_api.exports.focus.domain.billing import billing_days
from query_api.exports.focus.domain.charges import ContractBook, charge_lines, correction_lines
from query_api.exports.focus.domain.columns import COST_AND_USAGE, TABLES
from query_api.exports.focus.domain.commitments import invoice_lines
from runtime.postgres.pool import Pool
from support.clients.export_files import read_file, special, total
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

FOCUS = "/api/v1/export/focus.csv?version=1.4"
NOT_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost",
    "PricingCurrency", "PricingCurrencyEffectiveCost", "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory",
}  # fmt: skip
"""Columns of FOCUS 1.4 that allow no nulls and that the file has."""


async def test_a_line_of_usage_and_those_that_bill_it(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    await db.contract(
        acme, "c1", "2026-11-01", "2027-11-01", credit_price=40_000, overage_price=60_000, currency="USD",
        minimum_commitment=3 * MICRO,
    )  # fmt: skip
    await db.period(acme, "c1", "p1", "2026-11-01", "2027-11-01", total=1)
    await db.use(acme, "api", "namespace", "search", "2026-11-02", 500_000)
    await db.use(acme, "assistant", "model", "=opus", "2026-11-02", 1_000_000, events=3)
    first, usage, contracted, overage = sorted(
        await read_file(api, f"{FOCUS}&range=all"),
        key=lambda line: (line["ChargeCategory"] == "Purchase", line["SkuId"]),
    )
    assert (first["SkuId"], first["SkuPriceDetails"]) == ("api/namespace/search", "")
    same = {
        "BillingPeriodStart": "2026-10-31T18:15:00Z", "BillingPeriodEnd": "2027-10-31T18:15:00Z", "InvoiceId": "c1/p1",
        "HostProviderName": "FlexCredits", "ServiceProviderName": "FlexCredits", "x_ContractId": "c1", "x_CreditPeriodId": "p1",
    }  # fmt: skip
    assert all(same.items() <= line.items() for line in (usage, contracted, overage))
    assert usage["InvoiceDetailId"] == "c1/p1/usage"
    assert json.loads(usage["SkuPriceDetails"]) == {"x_ModelId": "=opus", "x_ModelName": "=opus"}
    [applied] = json.loads(usage["ContractApplied"])["Elements"]
    assert applied == {
        "ContractId": "c1", "ContractCommitmentId": "c1/p1", "ContractCommitmentAppliedQuantity": 1.0,
        "ContractCommitmentAppliedUnit": "Credits",
    }  # fmt: skip
    assert (contracted["InvoiceDetailId"], contracted["BilledCost"], contracted["ChargePeriodStart"]) == (
        "c1/p1/contracted", "0.040000", "2026-10-31T18:15:00Z",
    )  # fmt: skip
    assert (overage["InvoiceDetailId"], overage["BilledCost"]) == ("c1/p1/overage", "0.030000")
    assert [
        json.loads(line["ContractApplied"])["Elements"][0]["ContractCommitmentId"] for line in (contracted, overage)
    ] == ["c1", "c1"]


async def test_sums_are_those_of_the_overview_and_of_version_1_2(api: Api, db: TableRows) -> None:
    for zone in ("Asia/Kathmandu", "UTC"):
        name = zone.replace("/", ":")
        acme = await special(db, zone, name)
        for prices in ((50_000, 75_001, "USD"), (None, None, None)):
            await db.execute(
                "UPDATE contracts SET credit_price = $2, overage_price = $3, currency = $4 WHERE organization_id = $1",
                acme, *prices,
            )  # fmt: skip
            for query in ("range=all", "from=2026-03-28&to=2026-10-25"):
                lines = await read_file(api, f"{FOCUS}&{query}", organization=name)
                assert list(lines[0]) == list(COST_AND_USAGE)
                assert not [(column, line) for line in lines for column in NOT_NULL if line[column] == ""]
                before = await read_file(api, f"/api/v1/export/focus.csv?{query}", organization=name)
                usage = [line for line in lines if line["ChargeCategory"] == "Usage"]
                assert sum(Decimal(line["PricingQuantity"]) for line in usage) == total(
                    await read_file(api, f"/api/v1/export/usage.csv?{query}", organization=name)
                )
                for column in ("EffectiveCost", "ConsumedQuantity", "x_OverageCredits", "x_Events"):
                    sums = [sum(Decimal(line[column] or 0) for line in some) for some in (lines, before)]
                    assert sums[0] == sums[1], column
        overview = await api.get("/api/v1/overview", organization=name)
        lines = await read_file(api, f"{FOCUS}&credit_period=current", organization=name)
        usage = [line for line in lines if line["InvoiceDetailId"] == "c1/p1/usage"]
        assert sum(Decimal(line["PricingQuantity"]) for line in usage) == Decimal(overview["credits_used"])


async def test_a_split_file_names_people_as_the_organization_allows(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await actor(db, acme, "u-1", "Ada Lovelace", groups={"2026-01-01": ["ops"]})
    await show(db, acme, "named", label_keys=[])
    of_series = ("agents", "tool", "jira", "2026-11-01")
    await use_by(db, acme, await attribution(db, acme, "u-1"), *of_series, 4, agent="a1")
    await use_by(db, acme, await attribution(db, acme, "=1", kind="service_account"), *of_series, 2, agent="a1")
    await db.use(acme, *of_series, 1, agent="a1")
    query = f"{FOCUS}&from=2026-11&to=2026-11"
    columns = ("x_ActorKind", "x_ActorId", "x_GroupId", "x_ConsumerId", "x_PrincipalId", "PricingQuantity")
    found = {tuple(line[column] for column in columns) for line in await read_file(api, f"{query}&split=people")}
    assert found == {
        ("user", "u-1", "ops", "u-1", "", "0.000004"), ("service_account", "'=1", "", "a1", "'=1", "0.000002"),
        ("unattributed", "", "", "a1", "", "0.000001"),
    }  # fmt: skip
    [line] = await read_file(api, query)
    assert tuple(line[column] for column in columns) == ("", "", "", "a1", "", "0.000007")
    await show(db, acme, "pseudonymous", label_keys=[])
    assert "u-1" not in (await api.ask(f"{query}&split=people")).text
    await show(db, acme, "groups_only", label_keys=[])
    assert (await api.ask(f"{query}&split=people")).status_code == 403
    assert "u-1" not in (await api.ask(query)).text


async def test_the_statements_columns_are_those_that_are_read(pool: Pool) -> None:
    async with pool.acquire() as connection:
        statement = await connection.prepare(SQL["copy_focus_people"])
        assert [column.name for column in statement.get_attributes()] == list(PEOPLE_ROWS)


def test_columns_of_focus_are_sorted_and_ours_come_last() -> None:
    for table in TABLES.values():
        names = list(table.columns)
        assert names == sorted(names)
    assert not {"ProviderName", "PublisherName"} & COST_AND_USAGE.keys()


START, TODAY = date(2026, 1, 1), date(2026, 12, 31)
PERIODS = [
    CreditPeriod("c", "p1", Span(START, date(2026, 2, 10)), 60, (None, None, None), 5),
    CreditPeriod("c", "p2", Span(date(2026, 2, 20), date(2026, 4, 1)), 40, (None, None, None), None),
]
price = st.none() | st.integers(0, 100)


@given(
    st.dictionaries(
        st.integers(0, 89).map(lambda after: START + timedelta(days=after)), st.integers(0, 40), max_size=15
    ),
    st.lists(st.tuples(st.integers(0, 300), price, price), min_size=1, max_size=4).map(
        lambda said: sorted(said, key=itemgetter(0))
    ),
    st.integers(0, 400),
)
def test_lines_of_an_invoice_add_up_to_it_at_the_prices_known_now(
    used: dict[date, int], versions: list[tuple[int, int | None, int | None]], minimum: int
) -> None:
    """Contracted credits, overage and the shortfall, whenever prices were corrected."""
    said = [
        PriceVersion(START + timedelta(days=after), True, [PriceStep(date.min, Price(overage, credit, "USD"))] * 2)
        for after, overage, credit in versions
    ]
    said = [version._replace(steps=[version.steps[0], PriceStep(START, version.steps[0].price)]) for version in said]
    contract = Contract("c", Span(START, date(2026, 4, 1)), Terms(minimum_commitment=minimum), said)
    by_period = {
        period.key: {"api": sum(credits for day, credits in used.items() if period.span.covers(day))}
        for period in PERIODS
    }
    book = ContractBook([contract], PERIODS, {PERIODS[0].key: [AddOn("More", 5, True)]}, by_period, TODAY)
    overage = overage_by_day(used, PERIODS)
    account, days = BillingAccount("org", None, "Seller", None), Days(START, TODAY)
    lines = [
        dict(zip(COST_AND_USAGE, line, strict=True))
        for line in (
            *charge_lines(book, overage, days, account, GUARDED),
            *correction_lines(book, used, overage, days, account, GUARDED),
        )
    ]
    prices = prices_of(contract)
    for period in PERIODS:
        beyond = max(0, by_period[period.key]["api"] - (period.available or 0))
        expected = (period.contracted or 0) * (prices.price_on(period.span.starts_on).credit or 0)
        expected += sum(
            moved * (prices.price_on(day).overage or 0) for day, moved in overage.items() if period.span.covers(day)
        )
        if period is PERIODS[-1]:
            reached = sum(
                (one.contracted or 0) + max(0, by_period[one.key]["api"] - (one.available or 0)) for one in PERIODS
            )
            expected += max(0, minimum - reached) * (prices.price_on(date(2026, 3, 31)).credit or 0)
        billed = [line for line in lines if line["InvoiceId"] == period.address]
        assert sum((Decimal(line["BilledCost"] or 0) for line in billed), Decimal()).scaleb(12) == expected
        bought = [
            line
            for line in billed
            if line["InvoiceDetailId"] == f"{period.address}/overage" and not line["ChargeClass"]
        ]
        assert sum((Decimal(line["PricingQuantity"] or 0) for line in bought), Decimal()).scaleb(6) == beyond


def test_purchases_are_corrected_at_the_prices_of_their_own_contract() -> None:
    """A renewal began before the end of the old contract, so it prices the day on which the old shortfall is charged."""
    old_period = CreditPeriod("old", "p", Span(START, date(2026, 4, 1)), 60, (None, None, None), None)
    new_period = CreditPeriod("new", "p", Span(date(2026, 3, 1), date(2026, 9, 1)), 40, (None, None, None), None)
    contracts = [
        Contract(period.contract_id, period.span, Terms(minimum_commitment=minimum), [
            PriceVersion(START, True, [PriceStep(date.min, Price(credit=3, currency="USD")), PriceStep(START, Price(credit=3, currency="USD"))]),
            PriceVersion(date(2026, 5, 1), True, [PriceStep(date.min, Price(credit=now, currency="USD")), PriceStep(START, Price(credit=now, currency="USD"))]),
        ])
        for period, minimum, now in ((old_period, 100, 5), (new_period, None, 7))
    ]  # fmt: skip
    periods = [old_period, new_period]
    book = ContractBook(contracts, periods, {}, {}, TODAY)
    account, days = BillingAccount("org", None, "Seller", None), Days(START, TODAY)
    billed: dict[str | None, Decimal] = {}
    for line in (
        *charge_lines(book, {}, days, account, GUARDED),
        *correction_lines(book, {}, {}, days, account, GUARDED),
    ):
        cells = dict(zip(COST_AND_USAGE, line, strict=True))
        cost = Decimal(cells["BilledCost"] or 0).scaleb(12)
        billed[cells["InvoiceDetailId"]] = billed.get(cells["InvoiceDetailId"], Decimal()) + cost
    assert billed == {"old/p/contracted": 60 * 5, "old/p/minimum_commitment": 40 * 5, "new/p/contracted": 40 * 7}
    detailed = {
        line["InvoiceDetailId"]: Decimal(line["BilledCost"] or 0).scaleb(12)
        for line in invoice_lines(book, {}, {}, days, account, GUARDED)
        if line["x_LineKind"] != "usage"
    }
    assert detailed == billed


@given(st.dates(date(2025, 12, 1), date(2026, 5, 1)))
def test_every_day_is_in_one_billing_period_and_days_of_one_agree(day: date) -> None:
    days = billing_days(PERIODS, day)
    assert days.first <= day <= days.last
    assert {billing_days(PERIODS, other) for other in days} == {days}
