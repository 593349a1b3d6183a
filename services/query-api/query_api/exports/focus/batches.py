"""Lines of Cost and Usage of FOCUS 1.2 and 1.4 with usage, as batches. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import FOCUS_COLUMNS, BillingAccount, FocusDay, FocusLabel
from query_api.exports.domain.kinds import Columns
from query_api.exports.focus.domain.charges import APPLIED_AFTER, DayInvoice
from query_api.exports.focus.domain.columns import COST_AND_USAGE
from query_api.exports.formats.batches import (
    PLACES,
    TYPES,
    Batch,
    Column,
    Keyed,
    constant,
    decimals,
    key_of,
    key_of_used,
    products,
    read_lines,
    texts,
)
from query_api.exports.formats.lines import format_decimals
from query_api.exports.formats.rows import Array, Rows

PEOPLE_ROWS: Columns = {
    "label": "count", "actor_kind": "text", "actor_id": "text", "group_id": "text", "credits": "count", "events": "count",
}  # fmt: skip
_CLASSES = pa.array([None, "Correction"])
_CONSTANTS: dict[str, str | None] = {
    "BilledCost": "0", "BillingAccountType": "Organization", "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based",
    "ConsumedUnit": "Credits", "PricingCategory": "Standard", "PricingCurrency": "FlexCredits",
    "PricingCurrencyContractedUnitPrice": "1", "PricingCurrencyListUnitPrice": "1", "PricingUnit": "Credits",
    "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "SubAccountId": None,
    "SubAccountName": None, "SubAccountType": None, "Tags": None, "x_OverageCredits": None,
}  # fmt: skip


class Who(NamedTuple):
    """Columns of a file that is split by people."""

    kind: Any
    actor: Any
    group: Any


class FocusUsage(NamedTuple):
    """Lines of usage: indexes of the day and the label, class, micro-credits and events."""

    day: Array
    label: Array
    line_class: Column
    credits: Array
    events: Any
    who: Who | None


def usage_of_rows(rows: Rows) -> FocusUsage:
    line_class = Keyed(key_of(rows.is_correction), _CLASSES)
    return FocusUsage(rows.day, rows.label, line_class, rows.credits, pa.array(rows.events), None)


def usage_of_people(lines: bytes, rules: CellRules) -> FocusUsage:
    """Of one day. `lines` are CSV lines of PEOPLE_ROWS."""
    rows = read_lines(lines, PEOPLE_ROWS)
    label = rows["label"].to_numpy().astype(np.int32)
    who = Who(rows["actor_kind"], _escaped(rows["actor_id"], rules), _escaped(rows["group_id"], rules))
    return FocusUsage(
        np.zeros(len(label), np.int32), label, constant("text", None), rows["credits"].to_numpy(), rows["events"], who
    )


def _escaped(ids: Any, rules: CellRules) -> Any:
    encoded = ids.dictionary_encode()
    return texts(rules.id(each) for each in encoded.dictionary.to_pylist()).take(encoded.indices)


def usage_batch(
    usage: FocusUsage,
    labels: Sequence[FocusLabel],
    details: Sequence[str | None],
    calendar: Sequence[FocusDay],
    invoices: Sequence[DayInvoice] | None,
    account: BillingAccount,
) -> Batch:
    """`details` has one text for each label, `calendar` and `invoices` one row for each day. Without invoices the columns are
    those of FOCUS 1.2."""
    by_day, (by_label, used) = key_of(usage.day), key_of_used(usage.label)
    labels = [labels[at] for at in used]

    def of_days(name: str) -> Keyed:
        return Keyed(by_day, texts(getattr(day, name) for day in calendar))

    def of_instants(name: str) -> Keyed:
        instants = texts(getattr(day, name) for day in calendar).cast(TYPES["instant"])
        return Keyed(by_day, instants)

    def of_labels(name: str) -> Keyed:
        return Keyed(by_label, texts(getattr(label, name) for label in labels))

    prices = [day.credit_price for day in calendar]
    unit_price = Keyed(
        by_day,
        pa.array([None if price is None else Decimal(price).scaleb(-PLACES) for price in prices], TYPES["credits"]),
    )
    quantity = decimals(usage.credits, "credits")
    cost = products(usage.credits, [price or 0 for price in prices], usage.day)
    agent, provider = of_labels("agent"), constant("text", account.provider)
    columns = {name: constant(COST_AND_USAGE[name], text) for name, text in _CONSTANTS.items()} | {
        "BillingAccountId": constant("text", account.organization),
        "BillingAccountName": constant("text", account.name),
        "BillingCurrency": of_days("currency"),
        "BillingPeriodEnd": of_instants("billing_ends_at"),
        "BillingPeriodStart": of_instants("billing_starts_at"),
        "ChargeClass": usage.line_class,
        "ChargeDescription": of_labels("description"),
        "ChargePeriodEnd": of_instants("ends_at"),
        "ChargePeriodStart": of_instants("starts_at"),
        "ConsumedQuantity": quantity,
        "ContractedCost": cost,
        "ContractedUnitPrice": unit_price,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "ListUnitPrice": unit_price,
        "PricingCurrencyEffectiveCost": quantity,
        "PricingQuantity": quantity,
        "ResourceId": of_labels("resource"),
        "ResourceName": of_labels("resource_name"),
        "ResourceType": of_labels("resource_type"),
        "ServiceName": of_labels("service"),
        "SkuId": of_labels("sku"),
        "SkuMeter": of_labels("meter"),
        "SkuPriceId": of_labels("sku"),
        "x_AgentId": agent,
        "x_Category": of_labels("category"),
        "x_ContractId": of_days("contract"),
        "x_CreditPeriodId": of_days("credit_period"),
        "x_Events": usage.events,
        "x_Feature": of_labels("feature"),
        "x_FeatureKind": of_labels("kind"),
        "x_PriceUnknown": Keyed(by_day, pa.array([price is None for price in prices])),
        "x_ProductType": of_labels("product"),
        "x_RowKind": of_labels("row_kind"),
        "x_Surface": of_labels("surface"),
        "x_TimeZone": constant("text", account.time_zone),
    }
    names: Iterable[str] = COST_AND_USAGE
    if invoices is None:
        names, none = FOCUS_COLUMNS, constant("text", None)
        columns |= {
            "InvoiceId": none, "ProviderName": provider, "PublisherName": provider, "SkuPriceDetails": none,
        }  # fmt: skip
    else:
        columns |= {
            "HostProviderName": provider,
            "ServiceProviderName": provider,
            "SkuPriceDetails": Keyed(by_label, texts(details[at] for at in used)),
            **_invoice_columns(invoices, by_day, quantity),
            **_who_columns(usage.who, agent),
        }
    return Batch(len(usage.credits), {name: columns[name] for name in names})


def _invoice_columns(invoices: Sequence[DayInvoice], by_day: Any, quantity: Any) -> dict[str, Column]:
    invoice, line, before = (texts(cells) for cells in zip(*invoices, strict=True))
    applied = pc.binary_join_element_wise(before.take(by_day), format_decimals(quantity), APPLIED_AFTER, "")
    return {
        "ContractApplied": applied,
        "InvoiceDetailId": Keyed(by_day, line),
        "InvoiceId": Keyed(by_day, invoice),
    }


def _who_columns(who: Who | None, agent: Keyed) -> dict[str, Column]:
    """A person consumes, otherwise the agent; a service account is a principal."""
    if who is None:
        unknown = constant("text", None)
        none = dict.fromkeys(("x_ActorId", "x_ActorKind", "x_GroupId", "x_PrincipalId"), unknown)
        return {**none, "x_ConsumerId": agent}
    is_account = pc.equal(who.kind, "service_account")
    return {
        "x_ActorId": who.actor,
        "x_ActorKind": who.kind,
        "x_ConsumerId": pc.if_else(pc.equal(who.kind, "user"), who.actor, agent.values.take(agent.key)),
        "x_GroupId": who.group,
        "x_PrincipalId": pc.if_else(is_account, who.actor, None),
    }
