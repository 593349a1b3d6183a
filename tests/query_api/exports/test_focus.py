"""FOCUS 1.2: the rules of its columns (https://focus.finops.org, v1.2, and Null, Numeric and Date/Time Format), and its
sums."""

import re
from datetime import date, timedelta
from decimal import Decimal

from flexcredits_schemas.credits import scaled_text
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Span
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.domain.periods import CreditPeriod
from query_api.exports.domain.focus import FOCUS_COLUMNS, instant
from support.clients.export_files import header_of, read_file, special, total
from support.data.table_rows import TableRows, local
from support.services.query_api import Api

FOCUS = "/api/v1/export/focus.csv"

NOT_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost",
    "InvoiceIssuerName", "ListCost", "PricingCurrency", "PricingCurrencyEffectiveCost", "ProviderName", "PublisherName",
    "ServiceCategory", "ServiceName", "ServiceSubcategory",
}  # fmt: skip
NOT_NULL_UNLESS_CORRECTION = {
    "PricingCategory", "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "SkuId",
    "SkuPriceId",
}  # fmt: skip
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip
NUMBERS = {
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost", "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity",
    "x_Events", "x_OverageCredits",
}  # fmt: skip
INSTANTS = {"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"}


def check_rules(line: dict[str, str]) -> None:
    is_correction, category = line["ChargeClass"] == "Correction", line["ChargeCategory"]
    assert line["ChargeClass"] in ("", "Correction")
    assert category in ("Usage", "Purchase")
    assert line["ChargeFrequency"] == {"Usage": "Usage-Based", "Purchase": "One-Time"}[category]
    for column in NOT_NULL | (set() if is_correction else NOT_NULL_UNLESS_CORRECTION):
        assert line[column] != "", column
    for column, value in line.items():
        assert value.lower() not in ("null", "none", "n/a", "nan"), column
        if column in NUMBERS and value:
            places = "" if column == "x_Events" else r"\.\d{6}(\d{0,5}[1-9])?"
            assert re.fullmatch(r"-?(0|[1-9]\d*)" + places, value), (column, value)
        if column in INSTANTS:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value), (column, value)
    assert (line["ConsumedQuantity"] == "") == (category != "Usage")
    for quantity, unit in (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit")):
        assert (line[quantity] == "") == (line[unit] == "")
    assert line["BillingPeriodStart"] <= line["ChargePeriodStart"] < line["ChargePeriodEnd"] <= line["BillingPeriodEnd"]
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if line[price]:
            assert Decimal(line[price]) >= 0
            assert Decimal(line[price]) * Decimal(line["PricingQuantity"]) == Decimal(line[cost])
        assert (line["x_PriceUnknown"] == "true") == (line[price] == "")
        assert line[price] or Decimal(line[cost]) == 0
    if category == "Purchase":
        assert (line["EffectiveCost"], line["PricingCurrencyEffectiveCost"]) == ("0.000000", "0.000000")
        assert line["x_OverageCredits"] == line["PricingQuantity"]
    else:
        assert line["BilledCost"] == "0.000000"
        assert line["PricingCurrencyEffectiveCost"] == line["PricingQuantity"] == line["ConsumedQuantity"]
        assert line["EffectiveCost"] == line["ContractedCost"]
    assert re.fullmatch(r"[A-Z]{3}", line["BillingCurrency"])
    assert line["ResourceName"] == "" or line["ResourceName"] != line["ResourceId"]
    assert (line["ResourceId"] == "") == (line["ResourceType"] == "")
    assert (line["SkuId"] == "") == (line["SkuMeter"] == "")


def test_columns_are_spelled_as_focus_does_and_ours_come_last() -> None:
    names = [column for column in FOCUS_COLUMNS if not column.startswith("x_")]
    ours = list(FOCUS_COLUMNS[len(names) :])
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in names)
    assert all(re.fullmatch(r"x_([A-Z][a-z]+)+", name) for name in ours)
    assert (names, ours) == (sorted(names), sorted(ours))
    assert set(names) >= MANDATORY


async def set_prices(
    db: TableRows, organization: int, credit: int | None, overage: int | None, currency: str | None
) -> None:
    await db.execute(
        "UPDATE contracts SET credit_price = $2, overage_price = $3, currency = $4 WHERE organization_id = $1",
        organization, credit, overage, currency,
    )  # fmt: skip


async def test_every_line_keeps_the_rules_and_the_sums_are_the_screens(api: Api, db: TableRows) -> None:
    for zone in ("Asia/Kathmandu", "Europe/Berlin", "UTC"):
        name = zone.replace("/", ":")
        acme = await special(db, zone, name)
        for prices in ((50_000, 75_001, "USD"), (50_000, None, "EUR"), (None, None, None)):
            await set_prices(db, acme, *prices)
            for query in ("range=all", "from=2026-03-28&to=2026-10-25", "from=2024-01&to=2024-01"):
                lines = await read_file(api, f"{FOCUS}?{query}", organization=name)
                for line in lines:
                    check_rules(line)
                usage = await read_file(api, f"/api/v1/export/usage.csv?{query}", organization=name)
                assert sum((Decimal(line["PricingCurrencyEffectiveCost"]) for line in lines), Decimal()) == total(usage)
                corrections = [line for line in lines if line["ChargeClass"] and line["ChargeCategory"] == "Usage"]
                assert len(corrections) == len([line for line in usage if line["line"] == "correction"])
            overview = await api.get("/api/v1/overview", organization=name)
            lines = await read_file(api, f"{FOCUS}?credit_period=current", organization=name)
            purchases = [line for line in lines if line["ChargeCategory"] == "Purchase"]
            beyond = sum((Decimal(line["x_OverageCredits"]) for line in purchases), Decimal())
            assert beyond == Decimal(overview["overage"]) > 0
            assert sum(Decimal(line["BilledCost"]) for line in lines) == beyond * Decimal(prices[1] or 0) / 1_000_000


async def test_a_line_of_usage_and_one_of_a_purchase(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    await db.contract(acme, "c1", "2026-11-01", "2027-11-01")
    await db.period(acme, "c1", "p1", "2026-11-01", "2027-11-01", total=1)
    await set_prices(db, acme, 40_000, 60_000, "USD")
    await db.feature(acme, "agents", "tool", "jira", "2026-01-01", "Connectors", "Jira search")
    await db.agent(acme, "agt_42", "saved", "=Report")
    await db.use(acme, "agents", "tool", "jira", "2026-11-01", 1_500_000, agent="agt_42", surface="slack", events=3)
    usage, purchase = await read_file(api, f"{FOCUS}?from=2026-11&to=2026-11")
    expected = {
        "BilledCost": "0.000000", "BillingAccountId": "org_acme", "BillingAccountName": "org_acme", "BillingAccountType": "Organization",
        "BillingCurrency": "USD", "BillingPeriodStart": "2026-10-31T18:15:00Z", "BillingPeriodEnd": "2026-11-30T18:15:00Z",
        "ChargeCategory": "Usage", "ChargeDescription": "Agents: Jira search", "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": "2026-10-31T18:15:00Z", "ChargePeriodEnd": "2026-11-01T18:15:00Z", "ConsumedQuantity": "1.500000",
        "ConsumedUnit": "Credits", "ContractedCost": "0.060000", "ContractedUnitPrice": "0.040000", "EffectiveCost": "0.060000",
        "InvoiceIssuerName": "FlexCredits", "ListCost": "0.060000", "ListUnitPrice": "0.040000", "PricingCategory": "Standard",
        "PricingCurrency": "FlexCredits", "PricingCurrencyContractedUnitPrice": "1.000000", "PricingCurrencyEffectiveCost": "1.500000",
        "PricingCurrencyListUnitPrice": "1.000000", "PricingQuantity": "1.500000", "PricingUnit": "Credits", "ProviderName": "FlexCredits",
        "PublisherName": "FlexCredits", "ResourceId": "agt_42", "ResourceName": "'=Report", "ResourceType": "Agent",
        "ServiceCategory": "AI and Machine Learning", "ServiceName": "Agents", "ServiceSubcategory": "Generative AI",
        "SkuId": "agents/tool/jira", "SkuMeter": "Jira search", "SkuPriceId": "agents/tool/jira", "x_AgentId": "agt_42",
        "x_Category": "Connectors", "x_ContractId": "c1", "x_CreditPeriodId": "p1", "x_Events": "3", "x_Feature": "jira", "x_FeatureKind": "tool",
        "x_PriceUnknown": "false", "x_ProductType": "agents", "x_RowKind": "agent", "x_Surface": "slack", "x_TimeZone": "Asia/Kathmandu",
    }  # fmt: skip
    assert {column: value for column, value in usage.items() if value} == expected
    assert (purchase["ChargeCategory"], purchase["PricingQuantity"], purchase["BilledCost"]) == (
        "Purchase",
        "0.500000",
        "0.030000",
    )
    assert purchase["ChargePeriodStart"] == usage["ChargePeriodStart"]


async def test_ids_stand_as_they_are_where_a_word_of_ours_goes_before(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(acme, "=c", "2026-01-01", "2027-01-01")
    await db.period(acme, "=c", "@year", "2026-01-01", "2027-01-01", total=9)
    await db.use(acme, "agents", "tool", "=SUM(1)", "2026-11-01", 5_213_000, agent="@bot", surface="-x")
    [line] = await read_file(api, f"{FOCUS}?from=2026-11&to=2026-11")
    assert (line["SkuId"], line["SkuPriceId"]) == ("agents/tool/=SUM(1)", "agents/tool/=SUM(1)")
    assert line["ChargeDescription"] == "Agents: =SUM(1)"
    assert (line["x_Feature"], line["SkuMeter"]) == ("'=SUM(1)", "'=SUM(1)")
    assert (line["ResourceId"], line["x_AgentId"], line["x_Surface"]) == ("@bot", "@bot", "-x")
    assert (line["x_ContractId"], line["x_CreditPeriodId"]) == ("'=c", "@year")
    assert line["ConsumedQuantity"] == "5.213000"


async def test_days_on_which_clocks_change_have_their_own_length(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Europe/Berlin")
    for day in ("2026-03-29", "2026-10-25"):
        await db.use(acme, "api", "namespace", "search", day, 1)
    spring, autumn = await read_file(api, f"{FOCUS}?range=all")
    assert (spring["ChargePeriodStart"], spring["ChargePeriodEnd"]) == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
    assert (autumn["ChargePeriodStart"], autumn["ChargePeriodEnd"]) == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    assert instant(date(2026, 3, 29), "Europe/Berlin") == f"{local('Europe/Berlin', '2026-03-29'):%Y-%m-%dT%H:%M:%SZ}"


async def test_an_empty_file_has_its_header(api: Api, db: TableRows) -> None:
    assert (await api.ask(FOCUS, organization="org_unknown")).text == header_of(FOCUS_COLUMNS)


async def test_a_range_is_all_that_can_be_asked_for(api: Api, db: TableRows) -> None:
    await db.organization()
    assert (await api.ask(f"{FOCUS}?product=api")).status_code == 422  # overage exists only for the whole usage


DAY = date(2026, 1, 1)
used = st.dictionaries(
    st.integers(0, 30).map(lambda after: DAY + timedelta(days=after)), st.integers(-50, 100), max_size=20
)
PERIODS = [
    CreditPeriod("c", "p1", Span(DAY, DAY + timedelta(days=10)), 60, (None, None, None), 5),
    CreditPeriod("c", "p2", Span(DAY + timedelta(days=10), DAY + timedelta(days=25)), None, (None, None, None), None),
]


@given(used, st.integers(0, 31))
def test_the_overage_of_days_adds_up_to_the_periods_at_any_day(credits: dict[date, int], until: int) -> None:
    end = DAY + timedelta(days=until)
    overage = overage_by_day(credits, PERIODS)
    assert {day: moved for day, moved in overage.items() if day < end} == overage_by_day(
        {day: amount for day, amount in credits.items() if day < end}, PERIODS
    )
    for period in PERIODS:
        level = sum(amount for day, amount in credits.items() if period.span.covers(day) and day < end)
        beyond = sum(moved for day, moved in overage.items() if period.span.covers(day) and day < end)
        assert beyond == max(0, level - (period.available or 0))
    assert all(day < DAY + timedelta(days=25) for day in overage)


@given(st.integers(-(10**18), 10**18), st.sampled_from([6, 12]))
def test_a_decimal_is_exact_and_has_six_places_or_as_many_as_it_needs(scaled: int, places: int) -> None:
    text = scaled_text(scaled, places)
    assert Decimal(text).scaleb(places) == scaled
    assert re.fullmatch(r"-?(0|[1-9]\d*)\.\d{6}(\d{0,5}[1-9])?", text)
