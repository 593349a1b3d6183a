"""Lines of FOCUS 1.4, dataset Cost and Usage, except usage: purchases of credits, overage, and corrections of prices. Pure.

Other than in 1.2, contracted credits and the shortfall of a minimum commitment are purchases, so that the lines with
the id of an invoice add up to it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import NamedTuple

from flexcredits_schemas.credits import scaled_text

from query_api.calendar import Days
from query_api.contracts.domain.periods import Contract, CreditPeriod, PeriodKey, contract_of, period_on
from query_api.contracts.domain.prices import NO_PRICES, Prices, prices_of
from query_api.contracts.domain.reconcile import commit
from query_api.contracts.domain.terms import AddOn
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import BillingAccount, FocusDay, focus_day, purchase_cells
from query_api.exports.domain.focus_corrections import correction_cells, price_corrections
from query_api.exports.domain.labels import Label
from query_api.exports.focus.domain.billing import LineKind, billing_days, billing_instants, line_id
from query_api.exports.focus.domain.columns import COST_AND_USAGE

Cells = dict[str, str | None]

SKUS: dict[LineKind, tuple[str, str, str]] = {
    "contracted": ("credits", "Credits", "Contracted credits"),
    "add_on": ("add-on", "Add-on", "Add-on"),
    "overage": ("overage", "Overage", "Credits beyond those available in the credit period"),
    "minimum_commitment": ("minimum-commitment", "Minimum commitment", "Shortfall of the minimum commitment"),
}
"""SkuId, SkuMeter and description of purchases."""

BOUGHT: tuple[LineKind, ...] = ("contracted", "minimum_commitment")
"""Purchases at the price of a credit."""

APPLIED_AFTER = ',"ContractCommitmentAppliedUnit":"Credits"}]}'


class DayInvoice(NamedTuple):
    """A day's invoice and the line with its usage, and the text of ContractApplied before the quantity."""

    invoice: str | None
    usage_line: str | None
    applied_before: str | None


class Purchase(NamedTuple):
    """Micro-credits of a credit period, purchased on a day."""

    day: date
    period: CreditPeriod
    kind: LineKind
    credits: int
    name: str


class Priced(NamedTuple):
    """Micro-credits by day that have a kind's prices of credits and of overage, those of these contracts."""

    kind: LineKind
    contracts: Sequence[Contract]
    periods: Sequence[CreditPeriod]
    at_credit_price: Mapping[date, int]
    at_overage_price: Mapping[date, int]


class ContractBook(NamedTuple):
    """What lines need to know about all contracts. `used`: micro-credits by credit period."""

    contracts: Sequence[Contract]
    periods: Sequence[CreditPeriod]
    add_ons: Mapping[PeriodKey, Sequence[AddOn]]
    used: Mapping[PeriodKey, Mapping[str, int]]
    today: date

    def contract_of(self, period: CreditPeriod) -> Contract | None:
        return contract_of(self.contracts, period, period.span.starts_on)


def sku_details(label: Label) -> str | None:
    """SkuPriceDetails: the identity of a model. FOCUS 1.5 has ModelId without the prefix."""
    if label.kind != "model" or label.feature is None:
        return None
    return json.dumps({"x_ModelId": label.feature, "x_ModelName": label.feature_name}, ensure_ascii=False)


def applied_before(contract_id: str, commitment_id: str) -> str:
    """ContractApplied up to the quantity; APPLIED_AFTER follows it."""
    element = {"ContractId": contract_id, "ContractCommitmentId": commitment_id}
    text = json.dumps(element, ensure_ascii=False, separators=(",", ":"))
    return f'{{"Elements":[{text[:-1]},"ContractCommitmentAppliedQuantity":'


def day_invoices(calendar: Iterable[FocusDay], periods: Sequence[CreditPeriod], rules: CellRules) -> list[DayInvoice]:
    found = []
    for day in calendar:
        period = period_on(periods, day.day)
        if period is None:
            found.append(DayInvoice(None, None, None))
            continue
        before = applied_before(period.contract_id, period.address) if period.contracted is not None else None
        found.append(DayInvoice(rules.id(period.address), rules.id(line_id(period, "usage")), before))
    return found


def bill_by_period(
    calendar: Iterable[FocusDay], periods: Sequence[CreditPeriod], time_zone: str | None
) -> list[FocusDay]:
    """The days with the billing periods of FOCUS 1.4."""
    days = []
    for day in calendar:
        starts_at, ends_at = billing_instants(periods, day.day, time_zone)
        days.append(day._replace(billing_starts_at=starts_at, billing_ends_at=ends_at))
    return days


def purchases(book: ContractBook) -> Iterator[Purchase]:
    """Purchases until today: on the first day of each credit period and, of a shortfall, on the last day of its contract."""
    for period in book.periods:
        begins_on = period.span.starts_on
        if begins_on > book.today:
            continue
        if period.contracted:
            yield Purchase(begins_on, period, "contracted", period.contracted, "")
        for add_on in book.add_ons.get(period.key, ()):
            if add_on.included and add_on.credits:
                yield Purchase(begins_on, period, "add_on", add_on.credits, add_on.name)
        if shortfall := shortfall_in(book, period):
            yield Purchase(period.span.ends_on - timedelta(days=1), period, "minimum_commitment", shortfall, "")


def shortfall_in(book: ContractBook, period: CreditPeriod) -> int:
    """Micro-credits of the minimum commitment that were not reached, if the period is over and the last one of its contract."""
    contract = book.contract_of(period)
    if contract is None or period.span.ends_on > book.today:
        return 0
    commitment = commit(book.periods, book.used, contract.contract_id, contract.terms.minimum_commitment)
    return commitment.shortfall if commitment and commitment.charged_in == period.credit_period_id else 0


def charge_lines(
    book: ContractBook, overage: Mapping[date, int], days: Days, account: BillingAccount, rules: CellRules
) -> Iterator[list[str | None]]:
    """Lines of purchases and overage on these days, in the order of COST_AND_USAGE."""
    prices = {contract.contract_id: prices_of(contract) for contract in book.contracts}
    for purchase in purchases(book):
        if days.first <= purchase.day <= days.last:
            its_prices = prices.get(purchase.period.contract_id, NO_PRICES)
            day = _focus_day(purchase.day, purchase.period, its_prices, account, rules)
            yield _ordered(_purchase(day, purchase, book, account, rules))
    for on, credits in overage.items():
        period = period_on(book.periods, on)
        if period and days.first <= on <= days.last:
            its_prices = prices.get(period.contract_id, NO_PRICES)
            cells = purchase_cells(_focus_day(on, period, its_prices, account, rules), credits, account)
            yield _ordered(cells | _of_invoice(period, "overage", book, credits, account, rules))


def correction_lines(
    book: ContractBook, used: Mapping[date, int], overage: Mapping[date, int], days: Days, account: BillingAccount,
    rules: CellRules,
) -> Iterator[list[str | None]]:  # fmt: skip
    """Lines of price corrections that were made on these days, in the order of COST_AND_USAGE."""
    priced: list[Priced] = [Priced("usage", book.contracts, book.periods, used, overage)]
    for kind in BOUGHT:
        # Credits have the prices of their contract, also on days that another one prices.
        for contract in book.contracts:
            own = [period for period in book.periods if period.contract_id == contract.contract_id]
            by_day = defaultdict[date, int](int)
            for purchase in purchases(book._replace(periods=own)):
                if purchase.kind == kind:
                    by_day[purchase.day] += purchase.credits
            priced.append(Priced(kind, [contract], own, by_day, {}))
    for kind, contracts, periods, at_credit_price, at_overage_price in priced:
        for correction in price_corrections(
            contracts, periods, at_credit_price, at_overage_price, days, partial(billing_days, periods)
        ):
            period = period_on(periods, correction.days.first)
            starts_at, ends_at = billing_instants(book.periods, correction.made_on, account.time_zone)
            billing: Cells = {"BillingPeriodStart": starts_at, "BillingPeriodEnd": ends_at}
            for line_kind, cost in ((kind, correction.usage), ("overage", correction.overage)):
                if cost:
                    cells = correction_cells(correction, cost, account, is_overage=line_kind != "usage", rules=rules)
                    of_invoice = _of_invoice(period, line_kind, book, 0, account, rules) if period else {}
                    about = _sku(line_kind, correction.days) if line_kind in BOUGHT else {}
                    yield _ordered(
                        cells | _providers(account) | of_invoice | about | billing | {"ContractApplied": None}
                    )


def _sku(kind: LineKind, days: Days) -> Cells:
    sku, meter, _ = SKUS[kind]
    about = f"{meter}: price of {days.first} to {days.last} corrected"
    return {"SkuId": sku, "SkuPriceId": sku, "SkuMeter": meter, "ChargeDescription": about}


def _focus_day(day: date, period: CreditPeriod, prices: Prices, account: BillingAccount, rules: CellRules) -> FocusDay:
    return focus_day(day, account.time_zone, prices, period, rules)


def _purchase(
    day: FocusDay, purchase: Purchase, book: ContractBook, account: BillingAccount, rules: CellRules
) -> Cells:
    """Credits at the price of a credit; add-ons are not charged."""
    price = 0 if purchase.kind == "add_on" else day.credit_price
    sku, meter, description = SKUS[purchase.kind]
    return (
        purchase_cells(day._replace(overage_price=price), purchase.credits, account)
        | {
            "ChargeDescription": f"{description}: {purchase.name}" if purchase.name else description,
            "SkuId": sku, "SkuPriceId": sku, "SkuMeter": meter, "x_OverageCredits": None,
        }
        | _of_invoice(purchase.period, purchase.kind, book, purchase.credits, account, rules)
    )  # fmt: skip


def _of_invoice(
    period: CreditPeriod, kind: LineKind, book: ContractBook, credits: int, account: BillingAccount, rules: CellRules
) -> Cells:
    """Contracted credits and overage count towards the minimum commitment of the contract."""
    starts_at, ends_at = billing_instants([period], period.span.starts_on, account.time_zone)
    applied, contract = None, book.contract_of(period)
    if contract and contract.terms.minimum_commitment is not None and kind in ("contracted", "overage"):
        applied = applied_before(contract.contract_id, contract.contract_id) + scaled_text(credits, 6) + APPLIED_AFTER
    return _providers(account) | {
        "InvoiceId": rules.id(period.address),
        "InvoiceDetailId": rules.id(line_id(period, kind)),
        "BillingPeriodStart": starts_at,
        "BillingPeriodEnd": ends_at,
        "ContractApplied": applied,
    }


def _providers(account: BillingAccount) -> Cells:
    return {"HostProviderName": account.provider, "ServiceProviderName": account.provider}


def _ordered(cells: Cells) -> list[str | None]:
    return [cells.get(column) for column in COST_AND_USAGE]
