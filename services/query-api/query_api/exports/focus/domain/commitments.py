"""Lines of the datasets Contract Commitment, Billing Period and Invoice Detail of FOCUS 1.4. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from flexcredits_schemas.credits import scaled_text

from query_api.calendar import Days, Span, span_of
from query_api.contracts.domain.balance import period_state
from query_api.contracts.domain.periods import Contract, CreditPeriod, PeriodKey, period_on
from query_api.contracts.domain.prices import prices_of
from query_api.contracts.domain.reconcile import commit
from query_api.contracts.domain.terms import state_of
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import COST_PLACES, NO_CURRENCY, BillingAccount
from query_api.exports.focus.domain.billing import (
    OPEN_DAYS,
    LineKind,
    billing_days,
    line_id,
    recorded,
    span_instants,
)
from query_api.exports.focus.domain.charges import SKUS, Cells, ContractBook, shortfall_in

STATUS = {"past": "Expired", "future": "Pending", "current": "Active"}


def commitment_lines(book: ContractBook, days: Days, account: BillingAccount, rules: CellRules) -> Iterator[Cells]:
    """A line for the contracted credits of each credit period, and for the minimum commitment of each contract."""
    for period in book.periods:
        contract = book.contract_of(period)
        if period.contracted is None or contract is None or not _touches(period.span, days):
            continue
        used = sum(book.used.get(period.key, {}).values())
        left = max(0, period.contracted - used)
        cells = _commitment(book, contract, period.span, period.address, period.contracted, left, account, rules)
        yield cells | {
            "ContractCommitmentDescription": f"Credits of the credit period {period.credit_period_id}",
            "ContractCommitmentPaymentModel": "All Upfront",
            "ContractCommitmentPaymentUpfrontPercentage": "1.000000",
            "ContractCommitmentType": "Contracted credits",
            "x_AppliedCredits": scaled_text(used, 6),
            "x_CreditPeriodId": rules.id(period.credit_period_id),
        }
    for contract in book.contracts:
        minimum = contract.terms.minimum_commitment
        commitment = commit(book.periods, book.used, contract.contract_id, minimum)
        if commitment is None or minimum is None or not _touches(contract.span, days):
            continue
        cells = _commitment(
            book, contract, contract.span, contract.contract_id, minimum, commitment.shortfall, account, rules
        )
        yield cells | {
            "ContractCommitmentDescription": "Contracted credits and overage of the whole contract",
            "ContractCommitmentPaymentModel": "No Upfront",
            "ContractCommitmentPaymentUpfrontPercentage": "0.000000",
            "ContractCommitmentType": "Minimum commitment",
            "x_AppliedCredits": scaled_text(commitment.reached, 6),
        }


def _commitment(
    book: ContractBook, contract: Contract, span: Span, name: str, credits: int, left: int,
    account: BillingAccount, rules: CellRules,
) -> Cells:  # fmt: skip
    price = prices_of(contract).price_on(span.starts_on)
    state = state_of(*span, book.today)
    starts_at, ends_at = span_instants(span, account.time_zone)
    contract_starts_at, contract_ends_at = span_instants(contract.span, account.time_zone)
    created = recorded(contract, span.starts_on, account.time_zone)
    return {
        "BillingCurrency": price.currency,
        "ContractCommitmentApplicability": '{"IsGlobalScope":true}',
        "ContractCommitmentBenefitCategory": "Entitlement",
        "ContractCommitmentCategory": "Usage",
        "ContractCommitmentCost": None if price.credit is None else scaled_text(credits * price.credit, COST_PLACES),
        "ContractCommitmentCreated": created.created_at,
        "ContractCommitmentDurationType": duration_of(span),
        "ContractCommitmentFulfillmentInterval": "Full Period",
        "ContractCommitmentId": rules.id(name),
        "ContractCommitmentLastUpdated": created.updated_at,
        "ContractCommitmentLifecycleStatus": "Exhausted" if state == "current" and left == 0 else STATUS[state],
        "ContractCommitmentModel": "Discontinuous",
        "ContractCommitmentOfferCategory": "Negotiated",
        "ContractCommitmentPaymentInterval": "One-Time",
        "ContractCommitmentPeriodEnd": ends_at,
        "ContractCommitmentPeriodStart": starts_at,
        "ContractCommitmentQuantity": scaled_text(credits, 6),
        "ContractCommitmentUnit": "Credits",
        "ContractId": rules.id(contract.contract_id),
        "ContractPeriodEnd": contract_ends_at,
        "ContractPeriodStart": contract_starts_at,
        "InvoiceIssuerName": account.provider,
        "PricingCurrency": "FlexCredits",
        "PricingCurrencyContractCommitmentCost": scaled_text(credits, 6),
        "ServiceProviderName": account.provider,
        "x_ContractId": rules.id(contract.contract_id),
        "x_ExpiredCredits": scaled_text(left, 6) if state == "past" else None,
        "x_RemainingCredits": None if state == "past" else scaled_text(left, 6),
        "x_TimeZone": account.time_zone,
    }


def duration_of(span: Span) -> str:
    """Whole years, months or days, as FOCUS writes durations."""
    first, end = span
    if not span.has_end:
        return "Open-ended"
    months = (end.year - first.year) * 12 + end.month - first.month
    if end.day != first.day or not months:
        number, unit = (end - first).days, "Day"
    else:
        number, unit = (months // 12, "Year") if months % 12 == 0 else (months, "Month")
    return f"{number} {unit}{'s' if number > 1 else ''}"


def billing_lines(
    book: ContractBook, used: Mapping[date, int], days: Days, account: BillingAccount, rules: CellRules
) -> Iterator[Cells]:
    """A line for each credit period and, for usage outside of them, each part of a month. Used credits add up to the usage."""
    by_span: dict[Days, int] = {}
    by_period = divide(used, book.periods)
    for day, credits in by_period.pop(None, {}).items():
        within = billing_days(book.periods, day)
        by_span[within] = by_span.get(within, 0) + credits
    spans: list[tuple[Span, CreditPeriod | None, int]] = [(span_of(of), None, sum_) for of, sum_ in by_span.items()]
    spans += [(period.span, period, sum(by_period.get(period.key, {}).values())) for period in book.periods]
    for span, period, credits in sorted(spans, key=lambda each: (each[0], each[1].address if each[1] else "")):
        if not _touches(span, days):
            continue
        state, phase = period_state(period, {"api": credits}), state_of(*span, book.today)
        contract = book.contract_of(period) if period else None
        created = recorded(contract, span.starts_on, account.time_zone)
        starts_at, ends_at = span_instants(span, account.time_zone)
        is_final = phase == "past" and span.ends_on + timedelta(days=OPEN_DAYS) <= book.today
        yield {
            "BillingPeriodCreated": created.created_at,
            "BillingPeriodEnd": ends_at,
            "BillingPeriodLastUpdated": created.updated_at,
            "BillingPeriodStart": starts_at,
            "BillingPeriodStatus": "Closed" if is_final else "Open",
            "InvoiceIssuerName": account.provider,
            "x_AddOnCredits": _credits(period.add_ons if period else None),
            "x_AvailableCredits": _credits(state.available),
            "x_ContractId": rules.id(period.contract_id) if period else None,
            "x_ContractedCredits": _credits(period.contracted if period else None),
            "x_CreditPeriodId": rules.id(period.credit_period_id) if period else None,
            "x_ExpiredCredits": _credits(state.remaining if phase == "past" else None),
            "x_OverageCredits": _credits(state.overage) if period else None,
            "x_RemainingCredits": _credits(None if phase == "past" else state.remaining),
            "x_State": phase,
            "x_TimeZone": account.time_zone,
            "x_UsedCredits": _credits(credits),
        }


def invoice_lines(
    book: ContractBook, used: Mapping[date, int], overage: Mapping[date, int], days: Days, account: BillingAccount,
    rules: CellRules,
) -> Iterator[Cells]:  # fmt: skip
    """Lines of the statements of credit periods that have begun, at the prices known now. A line has one currency."""
    used_by, overage_by = divide(used, book.periods), divide(overage, book.periods)
    for period in book.periods:
        if period.span.starts_on > book.today or not _touches(period.span, days):
            continue
        prices = prices_of(book.contract_of(period))
        first, last = period.span.starts_on, period.span.ends_on - timedelta(days=1)
        parts: list[tuple[LineKind, int, int | None, str | None]] = []  # kind, micro-credits, price, currency
        at_first = prices.price_on(first)
        parts.append(("usage", sum(used_by.get(period.key, {}).values()), 0, at_first.currency))
        parts.append(("contracted", period.contracted or 0, at_first.credit, at_first.currency))
        parts.append(("add_on", period.add_ons or 0, 0, at_first.currency))
        for day, credits in overage_by.get(period.key, {}).items():
            price = prices.price_on(day)
            parts.append(("overage", credits, price.overage, price.currency))
        at_last = prices.price_on(last)
        parts.append(("minimum_commitment", shortfall_in(book, period), at_last.credit, at_last.currency))
        lines: dict[tuple[LineKind, str | None], list[tuple[int, int | None]]] = {}
        for kind, credits, unit_price, currency in parts:
            if credits or kind == "usage":
                lines.setdefault((kind, currency), []).append((credits, unit_price))
        for (kind, currency), amounts in lines.items():
            yield _invoice_line(book, period, kind, currency, amounts, account, rules)


def _invoice_line(
    book: ContractBook, period: CreditPeriod, kind: LineKind, currency: str | None, amounts: list[tuple[int, int | None]],
    account: BillingAccount, rules: CellRules,
) -> Cells:  # fmt: skip
    """`amounts`: micro-credits, and the price in millionths of the currency."""
    starts_at, ends_at = span_instants(period.span, account.time_zone)
    created = recorded(book.contract_of(period), period.span.starts_on, account.time_zone)
    unit_prices = {price for _, price in amounts}
    sku, _, description = SKUS.get(kind, ("usage", "", "Usage, covered by available credits or billed as overage"))
    grain = {"ContractId": period.contract_id, "SkuId": sku, "x_CreditPeriodId": period.credit_period_id}
    is_single = len(unit_prices) == 1 and kind != "usage"
    return {
        "BilledCost": scaled_text(sum(credits * (price or 0) for credits, price in amounts), COST_PLACES),
        "BillingAccountId": account.organization,
        "BillingCurrency": currency or NO_CURRENCY,
        "BillingPeriodEnd": ends_at,
        "BillingPeriodStart": starts_at,
        "ChargeCategory": "Usage" if kind == "usage" else "Purchase",
        "InvoiceDetailCreated": created.created_at,
        "InvoiceDetailDescription": description,
        "InvoiceDetailGrain": json.dumps(grain, ensure_ascii=False),
        "InvoiceDetailId": rules.id(line_id(period, kind)),
        "InvoiceDetailLastUpdated": created.updated_at,
        "InvoiceId": rules.id(period.address),
        "InvoiceIssueStatus": "Open",
        "InvoiceIssuerName": account.provider,
        "PaymentTerms": "Not specified",
        "ReferenceInvoiceId": rules.id(period.address),
        "x_ContractId": rules.id(period.contract_id),
        "x_CreditPeriodId": rules.id(period.credit_period_id),
        "x_LineKind": kind,
        "x_PriceUnknown": "true" if None in unit_prices else "false",
        "x_PricingQuantity": _credits(sum(credits for credits, _ in amounts)),
        "x_TimeZone": account.time_zone,
        "x_UnitPrice": _credits(next(iter(unit_prices))) if is_single else None,
    }


def divide(by_day: Mapping[date, int], periods: Sequence[CreditPeriod]) -> dict[PeriodKey | None, dict[date, int]]:
    """Amounts of the days of each credit period, and outside of all (None). Of overlapping periods, a day belongs to the one
    that began last."""
    found: dict[PeriodKey | None, dict[date, int]] = {}
    for day, amount in by_day.items():
        period = period_on(periods, day)
        found.setdefault(period.key if period else None, {})[day] = amount
    return found


def _credits(amount: int | None) -> str | None:
    return None if amount is None else scaled_text(amount, 6)


def _touches(span: Span, days: Days) -> bool:
    return span.starts_on <= days.last and days.first < span.ends_on
