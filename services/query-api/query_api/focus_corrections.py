"""FOCUS 1.2: the lines that correct days that are over, after a version of the contract changed their prices. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from query_api.cells import id_cell
from query_api.focus import (
    COST_PLACES,
    FOCUS_COLUMNS,
    NO_CURRENCY,
    ONE,
    ZERO,
    Account,
    decimal_text,
    instant,
)
from query_api.lines import ONE_DAY
from query_api.periods import Contract, Days, month_of
from query_api.prices import prices_of


class PriceCorrection(NamedTuple):
    """Costs, in micro-credits times millionths of the currency, by which days of one calendar month were charged wrongly."""

    contract_id: str
    made_on: date
    days: Days
    currency: str | None
    overage: int
    usage: int


def price_corrections(
    contracts: Sequence[Contract], used: Mapping[date, int], overage: Mapping[date, int]
) -> Iterator[PriceCorrection]:
    """`used` and `overage` are micro-credits by day. One for each repricing, calendar month and currency."""
    for contract in contracts:
        for made_on, days, before, after in prices_of(contract).repricings():
            first = days.first
            while first <= days.last:
                piece = Days(first, min(days.last, month_of(first).last))
                overages = sum(credits for day, credits in overage.items() if piece.first <= day <= piece.last)
                uses = sum(credits for day, credits in used.items() if piece.first <= day <= piece.last)
                costs: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
                for price, sign in ((before, -1), (after, 1)):
                    costs[price.currency][0] += sign * overages * (price.overage or 0)
                    costs[price.currency][1] += sign * uses * (price.credit or 0)
                for currency, (of_overage, of_usage) in costs.items():
                    if of_overage or of_usage:
                        yield PriceCorrection(contract.contract_id, made_on, piece, currency, of_overage, of_usage)
                first = piece.last + ONE_DAY


def correction_lines(corrections: Iterator[PriceCorrection], days: Days, account: Account) -> list[list[str | None]]:
    """Those that were made on `days`, in the order of FOCUS_COLUMNS: what was billed for overage, and what usage was worth."""
    lines = []
    for correction in corrections:
        if days.first <= correction.made_on <= days.last:
            if correction.overage:
                lines.append(correction_line(correction, correction.overage, account, is_overage=True))
            if correction.usage:
                lines.append(correction_line(correction, correction.usage, account, is_overage=False))
    return lines


def correction_line(correction: PriceCorrection, cost: int, account: Account, *, is_overage: bool) -> list[str | None]:
    amount, zone, month = decimal_text(cost, COST_PLACES), account.time_zone, month_of(correction.made_on)
    what, sku = ("Overage", "overage") if is_overage else ("Credits", "credits")
    cells = {
        "BilledCost": amount if is_overage else ZERO,
        "BillingAccountId": account.organization,
        "BillingAccountName": account.name,
        "BillingAccountType": "Organization",
        "BillingCurrency": correction.currency or NO_CURRENCY,
        "BillingPeriodEnd": instant(month.last + ONE_DAY, zone),
        "BillingPeriodStart": instant(month.first, zone),
        "ChargeCategory": "Purchase" if is_overage else "Usage",
        "ChargeClass": "Correction",
        "ChargeDescription": f"{what}: price of {correction.days.first} to {correction.days.last} corrected",
        "ChargeFrequency": "One-Time" if is_overage else "Usage-Based",
        "ChargePeriodEnd": instant(correction.days.last + ONE_DAY, zone),
        "ChargePeriodStart": instant(correction.days.first, zone),
        "ContractedCost": amount,
        "EffectiveCost": ZERO if is_overage else amount,
        "InvoiceIssuerName": account.provider,
        "ListCost": amount,
        "PricingCategory": "Standard",
        "PricingCurrency": "FlexCredits",
        "PricingCurrencyContractedUnitPrice": ONE,
        "PricingCurrencyEffectiveCost": ZERO,
        "PricingCurrencyListUnitPrice": ONE,
        "ProviderName": account.provider,
        "PublisherName": account.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "FlexCredits",
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": what,
        "SkuPriceId": sku,
        "x_ContractId": id_cell(correction.contract_id),
        "x_PriceUnknown": "false",
        "x_TimeZone": zone,
    }
    return [cells.get(column) for column in FOCUS_COLUMNS]
