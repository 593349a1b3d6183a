"""FOCUS 1.2 (FinOps Open Cost and Usage Specification): contents of the columns, except quantities of usage. Pure.

Credits are prepaid: usage has BilledCost 0, and its EffectiveCost is the credits at the contract's price. Overage is a
Purchase on the day on which it arises, billed at the overage price.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from flexcredits_schemas.calendar import midnight
from flexcredits_schemas.credits import scaled_text

from query_api.calendar import Days, month_of
from query_api.contracts.domain.periods import Contract, CreditPeriod, period_on, pricing_contract
from query_api.contracts.domain.prices import NO_PRICES, Prices, prices_of
from query_api.exports.domain.cells import GUARDED, CellRules
from query_api.exports.domain.labels import ONE_DAY, Label

FOCUS_COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription",
    "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
    "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags", "x_AgentId",
    "x_Category", "x_ContractId", "x_CreditPeriodId", "x_Events", "x_Feature", "x_FeatureKind", "x_OverageCredits",
    "x_PriceUnknown", "x_ProductType", "x_RowKind", "x_Surface", "x_TimeZone",
)  # fmt: skip
"""Columns of FOCUS by name, then ours with the prefix x_ that FOCUS requires."""

SERVICES = {"assistant": "Assistant", "agents": "Agents", "api": "API"}
RESOURCE_TYPES = {"model": "Model", "tool": "Tool", "feature": "Feature", "namespace": "API Namespace"}
NO_CURRENCY = "XXX"
"""ISO 4217 code for no currency: BillingCurrency must not be null, but a contract may have no currency."""

_CREDITS, COST_PLACES = 6, 12  # decimal places of micro-credits, and of micro-credits times a price in millionths
ZERO, ONE = "0.000000", "1.000000"


class BillingAccount(NamedTuple):
    organization: str
    name: str | None
    provider: str
    time_zone: str | None


class FocusLabel(NamedTuple):
    """A series' cells in a range of days; None is null. SkuId, SkuPriceId and ChargeDescription start with a fixed word, so
    spreadsheets do not interpret them as formulas and the rest needs no escaping."""

    series_id: int
    first: date
    last: date
    description: str
    service: str
    sku: str
    meter: str | None
    resource: str | None
    resource_name: str | None
    resource_type: str | None
    agent: str | None
    category: str | None
    feature: str | None
    kind: str
    product: str
    row_kind: str | None
    surface: str | None


class FocusDay(NamedTuple):
    """A day of the organization's zone as instants, with the prices of that day."""

    day: date
    starts_at: str
    ends_at: str
    billing_starts_at: str
    billing_ends_at: str
    credit_price: int | None
    overage_price: int | None
    currency: str
    contract: str | None
    credit_period: str | None


def focus_labels(labels: Iterable[Label], cells: CellRules = GUARDED) -> list[FocusLabel]:
    return [focus_label(label, cells) for label in labels]


def focus_label(label: Label, cells: CellRules) -> FocusLabel:
    resource, name, resource_type = _resource_of(label)
    return FocusLabel(
        label.series_id,
        label.first,
        label.last,
        f"{SERVICES[label.product]}: {label.feature_name}",
        SERVICES[label.product],
        f"{label.product}/{label.kind}/{label.feature or ''}",
        cells.text(label.feature_name),
        cells.id(resource),
        None if name == resource else cells.text(name),  # no name if it only repeats the id
        resource_type,
        cells.id(label.agent_id),
        cells.text(label.category),
        cells.id(label.feature),
        label.kind,
        label.product,
        label.agent_status,
        cells.id(label.surface),
    )


def _resource_of(label: Label) -> tuple[str | None, str | None, str | None]:
    """Id, name and type. FOCUS allows a name only with an id, which features beyond the limit do not have."""
    if label.agent_id is not None:
        return label.agent_id, label.agent_name, "Agent"
    if label.feature is None:
        return None, None, None
    return label.feature, label.feature_name, RESOURCE_TYPES[label.kind]


def focus_days(
    days: Days,
    time_zone: str | None,
    contracts: Sequence[Contract],
    periods: Sequence[CreditPeriod],
    cells: CellRules = GUARDED,
) -> list[FocusDay]:
    prices = {contract.contract_id: prices_of(contract) for contract in contracts}
    calendar = []
    for day in each_day(days):
        contract = pricing_contract(contracts, periods, day)
        its_prices = prices[contract.contract_id] if contract else NO_PRICES
        calendar.append(focus_day(day, time_zone, its_prices, period_on(periods, day), cells))
    return calendar


def focus_day(
    day: date, time_zone: str | None, prices: Prices, period: CreditPeriod | None, cells: CellRules
) -> FocusDay:
    """A day with the prices that were known on it, so that files of past months do not change."""
    month, price = month_of(day), prices.charged_on(day)
    return FocusDay(
        day,
        instant(day, time_zone),
        instant(day + ONE_DAY, time_zone),
        instant(month.first, time_zone),
        instant(month.last + ONE_DAY, time_zone),
        price.credit,
        price.overage,
        price.currency or NO_CURRENCY,
        cells.id(period.contract_id) if period else None,
        cells.id(period.credit_period_id) if period else None,
    )


def each_day(days: Days) -> Iterator[date]:
    return (days.first + timedelta(days=after) for after in range((days.last - days.first).days + 1))


def instant(day: date, time_zone: str | None) -> str:
    """Start of a day in the zone, in the format of FOCUS."""
    return f"{midnight(day, time_zone).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def purchase_lines(
    calendar: Iterable[FocusDay], overage: Mapping[date, int], account: BillingAccount
) -> list[list[str | None]]:
    """A line for each day on which the overage changed, in the order of FOCUS_COLUMNS."""
    lines = []
    for day in calendar:
        if credits := overage.get(day.day, 0):
            cells = purchase_cells(day, credits, account)
            lines.append([cells.get(column) for column in FOCUS_COLUMNS])
    return lines


def purchase_cells(day: FocusDay, credits: int, account: BillingAccount) -> dict[str, str | None]:
    """The cells, by column, of the Purchase of a day's overage."""
    price = day.overage_price
    cost = scaled_text(credits * (price or 0), COST_PLACES)
    unit_price = None if price is None else scaled_text(price, _CREDITS)
    quantity = scaled_text(credits, _CREDITS)
    return {
        "BilledCost": cost,
        "BillingAccountId": account.organization,
        "BillingAccountName": account.name,
        "BillingAccountType": "Organization",
        "BillingCurrency": day.currency,
        "BillingPeriodEnd": day.billing_ends_at,
        "BillingPeriodStart": day.billing_starts_at,
        "ChargeCategory": "Purchase",
        "ChargeClass": "Correction" if credits < 0 else None,
        "ChargeDescription": "Credits beyond those available in the credit period",
        "ChargeFrequency": "One-Time",
        "ChargePeriodEnd": day.ends_at,
        "ChargePeriodStart": day.starts_at,
        "ContractedCost": cost,
        "ContractedUnitPrice": unit_price,
        "EffectiveCost": ZERO,
        "InvoiceIssuerName": account.provider,
        "ListCost": cost,
        "ListUnitPrice": unit_price,
        "PricingCategory": "Standard",
        "PricingCurrency": "FlexCredits",
        "PricingCurrencyContractedUnitPrice": ONE,
        "PricingCurrencyEffectiveCost": ZERO,
        "PricingCurrencyListUnitPrice": ONE,
        "PricingQuantity": quantity,
        "PricingUnit": "Credits",
        "ProviderName": account.provider,
        "PublisherName": account.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "FlexCredits",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "overage",
        "SkuMeter": "Overage",
        "SkuPriceId": "overage",
        "x_ContractId": day.contract,
        "x_CreditPeriodId": day.credit_period,
        "x_OverageCredits": quantity,
        "x_PriceUnknown": "true" if price is None else "false",
        "x_TimeZone": account.time_zone,
    }
