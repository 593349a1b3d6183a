"""Columns of the datasets of FOCUS 1.4, with their types. Pure.

Names and types: FinOps Open Cost and Usage Specification 1.4. Columns with the prefix x_ are ours; FOCUS requires the prefix.
"""

from typing import Literal, NamedTuple

from query_api.exports.domain.kinds import Kind

Dataset = Literal["cost-and-usage", "contract-commitment", "billing-period", "invoice-detail"]


class Table(NamedTuple):
    """`dataset_id` and `name` as FOCUS spells them."""

    dataset_id: str
    name: str
    columns: dict[str, Kind]


_NOT_TEXT: dict[str, Kind] = {
    "ContractApplied": "json", "ContractCommitmentApplicability": "json", "InvoiceDetailGrain": "json",
    "SkuPriceDetails": "json", "Tags": "json", "BilledCost": "cost", "ContractedCost": "cost",
    "ContractCommitmentCost": "cost", "EffectiveCost": "cost", "ListCost": "cost", "ConsumedQuantity": "credits",
    "ContractCommitmentDiscountPercentage": "credits", "ContractCommitmentPaymentUpfrontPercentage": "credits",
    "ContractCommitmentQuantity": "credits", "ContractedUnitPrice": "credits", "ListUnitPrice": "credits",
    "PricingCurrencyContractCommitmentCost": "credits", "PricingCurrencyContractedUnitPrice": "credits",
    "PricingCurrencyEffectiveCost": "credits", "PricingCurrencyListUnitPrice": "credits", "PricingQuantity": "credits",
    "x_Events": "count", "x_PriceUnknown": "flag", "x_UnitPrice": "credits",
}  # fmt: skip
_INSTANTS = ("Start", "End", "Created", "LastUpdated", "Date")


def _kind_of(column: str) -> Kind:
    if column.startswith("x_") and column.endswith(("Credits", "Quantity")):
        return "sum"
    return _NOT_TEXT.get(column) or ("instant" if column.endswith(_INSTANTS) else "text")


def _table(dataset_id: str, name: str, *columns: str) -> Table:
    return Table(dataset_id, name, {column: _kind_of(column) for column in columns})


TABLES: dict[Dataset, Table] = {
    "cost-and-usage": _table(
        "CostAndUsage", "Cost and Usage",
        "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
        "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription",
        "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
        "ContractApplied", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "HostProviderName",
        "InvoiceDetailId", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory",
        "PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ResourceId", "ResourceName", "ResourceType",
        "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter",
        "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags", "x_ActorId",
        "x_ActorKind", "x_AgentId", "x_Category", "x_ConsumerId", "x_ContractId", "x_CreditPeriodId", "x_Events",
        "x_Feature", "x_FeatureKind", "x_GroupId", "x_OverageCredits", "x_PriceUnknown", "x_PrincipalId",
        "x_ProductType", "x_RowKind", "x_Surface", "x_TimeZone",
    ),
    "contract-commitment": _table(
        "ContractCommitment", "Contract Commitment",
        "BillingCurrency", "ContractCommitmentApplicability", "ContractCommitmentBenefitCategory",
        "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentCreated",
        "ContractCommitmentDescription", "ContractCommitmentDiscountPercentage", "ContractCommitmentDurationType",
        "ContractCommitmentFulfillmentInterval", "ContractCommitmentId", "ContractCommitmentLastUpdated",
        "ContractCommitmentLifecycleStatus", "ContractCommitmentModel", "ContractCommitmentOfferCategory",
        "ContractCommitmentPaymentInterval", "ContractCommitmentPaymentModel",
        "ContractCommitmentPaymentUpfrontPercentage", "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart",
        "ContractCommitmentQuantity", "ContractCommitmentType", "ContractCommitmentUnit", "ContractId",
        "ContractPeriodEnd", "ContractPeriodStart", "InvoiceIssuerName", "PricingCurrency",
        "PricingCurrencyContractCommitmentCost", "ServiceProviderName", "x_AppliedCredits", "x_ContractId",
        "x_CreditPeriodId", "x_ExpiredCredits", "x_RemainingCredits", "x_TimeZone",
    ),
    "billing-period": _table(
        "BillingPeriod", "Billing Period",
        "BillingPeriodCreated", "BillingPeriodEnd", "BillingPeriodLastUpdated", "BillingPeriodStart",
        "BillingPeriodStatus", "InvoiceIssuerName", "x_AddOnCredits", "x_AvailableCredits", "x_ContractId",
        "x_ContractedCredits", "x_CreditPeriodId", "x_ExpiredCredits", "x_OverageCredits", "x_RemainingCredits",
        "x_State", "x_TimeZone", "x_UsedCredits",
    ),
    "invoice-detail": _table(
        "InvoiceDetail", "Invoice Detail",
        "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
        "InvoiceDetailCreated", "InvoiceDetailDescription", "InvoiceDetailGrain", "InvoiceDetailId",
        "InvoiceDetailLastUpdated", "InvoiceId", "InvoiceIssueDate", "InvoiceIssueStatus", "InvoiceIssuerName",
        "PaymentDueDate", "PaymentTerms", "ReferenceInvoiceId", "x_ContractId", "x_CreditPeriodId", "x_LineKind",
        "x_PriceUnknown", "x_PricingQuantity", "x_TimeZone", "x_UnitPrice",
    ),
}  # fmt: skip

COST_AND_USAGE = TABLES["cost-and-usage"].columns
