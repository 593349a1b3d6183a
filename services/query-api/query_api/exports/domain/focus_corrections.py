"""FOCUS 1.2: correction lines for past days whose prices a later contract version changed. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import accumulate
from typing import NamedTuple

from flexcredits_schemas.credits import scaled_text

from query_api.calendar import Days, month_of
from query_api.contracts.domain.periods import Contract, CreditPeriod, pricing_contract
from query_api.contracts.domain.prices import prices_of
from query_api.exports.domain.cells import GUARDED, CellRules
from query_api.exports.domain.focus import COST_PLACES, FOCUS_COLUMNS, NO_CURRENCY, ONE, ZERO, BillingAccount, instant
from query_api.exports.domain.labels import ONE_DAY


class PriceCorrection(NamedTuple):
    """Cost difference for days of one calendar month, in micro-credits times millionths of the currency."""

    contract_id: str
    made_on: date
    days: Days
    currency: str | None
    overage: int
    usage: int


def price_corrections(
    contracts: Sequence[Contract],
    periods: Sequence[CreditPeriod],
    used: Mapping[date, int],
    overage: Mapping[date, int],
    made_in: Days,
    stretch_of: Callable[[date], Days] = month_of,
) -> Iterator[PriceCorrection]:
    """One correction per repricing on the days `made_in`, stretch of days (by default a calendar month) and currency. `used`,
    `overage`: micro-credits by day, at the price of a credit and of overage.

    A contract corrects only days that it priced, because contracts may overlap.
    """
    days_of: dict[str, list[date]] = defaultdict(list)
    for day in sorted({*used, *overage}):
        if priced_by := pricing_contract(contracts, periods, day):
            days_of[priced_by.contract_id].append(day)
    for contract in contracts:
        every_day = days_of[contract.contract_id]
        uses_before = [0, *accumulate(used.get(day, 0) for day in every_day)]
        overages_before = [0, *accumulate(overage.get(day, 0) for day in every_day)]
        for made_on, days, before, after in prices_of(contract).repricings():
            if not made_in.first <= made_on <= made_in.last:
                continue
            at, end = bisect_left(every_day, days.first), bisect_right(every_day, days.last)
            while at < end:  # a stretch with usage
                stretch = stretch_of(every_day[at])
                piece = Days(max(days.first, stretch.first), min(days.last, stretch.last))
                begin, at = at, bisect_right(every_day, piece.last)
                overages, uses = overages_before[at] - overages_before[begin], uses_before[at] - uses_before[begin]
                costs: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
                for price, sign in ((before, -1), (after, 1)):
                    costs[price.currency][0] += sign * overages * (price.overage or 0)
                    costs[price.currency][1] += sign * uses * (price.credit or 0)
                for currency, (of_overage, of_usage) in costs.items():
                    if of_overage or of_usage:
                        yield PriceCorrection(contract.contract_id, made_on, piece, currency, of_overage, of_usage)


def correction_lines(corrections: Iterable[PriceCorrection], account: BillingAccount) -> list[list[str | None]]:
    """Correction lines for billed overage and for the worth of usage, in the order of FOCUS_COLUMNS."""
    lines = []
    for correction in corrections:
        if correction.overage:
            lines.append(correction_cells(correction, correction.overage, account, is_overage=True))
        if correction.usage:
            lines.append(correction_cells(correction, correction.usage, account, is_overage=False))
    return [[cells.get(column) for column in FOCUS_COLUMNS] for cells in lines]


def correction_cells(
    correction: PriceCorrection, cost: int, account: BillingAccount, *, is_overage: bool, rules: CellRules = GUARDED
) -> dict[str, str | None]:
    """The cells, by column, of a correction of billed overage or of the worth of usage."""
    amount, zone, month = scaled_text(cost, COST_PLACES), account.time_zone, month_of(correction.made_on)
    what, sku = ("Overage", "overage") if is_overage else ("Credits", "credits")
    return {
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
        "x_ContractId": rules.id(correction.contract_id),
        "x_PriceUnknown": "false",
        "x_TimeZone": zone,
    }
