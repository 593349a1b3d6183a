"""FOCUS 1.4: Contract Commitment, Billing Period and Invoice Detail. Their sums are the overview's, the statement's and each other's."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from query_api.calendar import Span
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.focus.domain.commitments import duration_of
from support.clients.export_files import header_of, read_file, read_parquet, special, total
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

FOCUS = "/api/v1/export/focus.csv?version=1.4"
MAY_BE_NULL = {
    "BillingCurrency", "ContractCommitmentCost", "ContractCommitmentDescription", "ContractCommitmentDiscountPercentage",
    "ContractCommitmentQuantity", "ContractCommitmentUnit", "PricingCurrencyContractCommitmentCost", "InvoiceDetailDescription",
    "InvoiceDetailGrain", "InvoiceIssueDate", "PaymentDueDate",
}  # fmt: skip


async def test_datasets_of_one_history_agree(api: Api, db: TableRows) -> None:
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    await db.execute(
        "UPDATE contracts SET credit_price = 50000, overage_price = 75001, currency = 'USD', minimum_commitment = $1",
        40 * MICRO,
    )
    await db.contract(acme, "old", "2025-01-01", "2025-07-01", credit_price=3, currency="EUR", minimum_commitment=MICRO)
    await db.period(acme, "old", "=p", "2025-01-01", "2025-07-01", api=7, add_ons=[(2, True), (3, False)])
    await db.use(acme, "api", "namespace", "search", "2025-03-01", 4 * MICRO)
    await db.use(acme, "api", "namespace", "search", "2025-08-31", 5)
    files = {}
    for dataset, table in TABLES.items():
        lines = await read_file(api, f"{FOCUS}&range=all&dataset={dataset}")
        assert list(lines[0]) == list(table.columns)
        if dataset != "cost-and-usage":
            focus_columns = {column for column in table.columns if not column.startswith("x_")}
            assert not [(c, line) for line in lines for c in focus_columns - MAY_BE_NULL if line[c] == ""]
        files[dataset] = lines
    costs, periods, invoices = files["cost-and-usage"], files["billing-period"], files["invoice-detail"]

    everything = total(await read_file(api, "/api/v1/export/usage.csv?range=all"))
    assert sum(Decimal(line["x_UsedCredits"]) for line in periods) == everything
    known = {(line["BillingPeriodStart"], line["BillingPeriodEnd"]) for line in periods}
    assert {(line["BillingPeriodStart"], line["BillingPeriodEnd"]) for line in costs} <= known

    sums = []
    for lines, quantity in ((costs, "PricingQuantity"), (invoices, "x_PricingQuantity")):
        by_line: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(), Decimal()])
        for line in lines:
            if line["InvoiceId"]:
                of_line = by_line[line["InvoiceDetailId"], line["BillingCurrency"]]
                of_line[0] += Decimal(line["BilledCost"])
                of_line[1] += Decimal(line[quantity])
        sums.append(dict(by_line))
    assert sums[0] == sums[1]
    assert {line["InvoiceId"] for line in invoices} == {"c1/p1", "old/=p"}

    overview = await api.get("/api/v1/overview")
    statement = await api.get("/api/v1/reconcile?credit_period=c1/p1")
    [current] = [line for line in periods if line["x_CreditPeriodId"] == "p1"]
    assert current["x_UsedCredits"] == overview["credits_used"]
    assert (current["x_OverageCredits"], current["x_State"], current["BillingPeriodStatus"]) == (
        overview["overage"], "current", "Open",
    )  # fmt: skip
    due = sum(Decimal(line["BilledCost"]) for line in invoices if line["InvoiceId"] == "c1/p1")
    assert abs(due - Decimal(statement["amount_due"])) <= Decimal("0.000002")

    commitments = {line["ContractCommitmentId"]: line for line in files["contract-commitment"]}
    assert set(commitments) == {"c1/p1", "c1", "old/=p", "old"}
    assert commitments["c1/p1"]["ContractCommitmentLifecycleStatus"] == "Exhausted"
    assert (commitments["old/=p"]["x_ExpiredCredits"], commitments["old/=p"]["ContractCommitmentDurationType"]) == (
        "3.000000", "6 Months",
    )  # fmt: skip


async def test_sums_of_the_largest_amounts_are_exact(api: Api, db: TableRows) -> None:
    """Sums of a contract's amounts exceed a bigint of micro-credits."""
    acme, largest = await db.organization(), 10**12 - 1
    await db.contract(acme, "c1", "2026-01-01", "2027-01-01", credit_price=10**18 - 1, currency="USD")
    await db.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=largest, add_ons=[(largest, True)] * 50)
    await db.use(acme, "api", "namespace", "search", "2026-03-01", MICRO)
    sums = {
        "x_AddOnCredits": 50 * largest, "x_AvailableCredits": 51 * largest, "x_RemainingCredits": 51 * largest - 1, "x_UsedCredits": 1,
    }  # fmt: skip
    [line] = await read_file(api, f"{FOCUS}&range=all&dataset=billing-period")
    assert {name: line[name] for name in sums} == {name: f"{amount}.000000" for name, amount in sums.items()}
    table = await read_parquet(api, "/api/v1/export/focus.parquet?range=all&dataset=billing-period")
    assert {name: table[name].to_pylist() for name in sums} == {name: [amount] for name, amount in sums.items()}
    assert {table.schema.field(name).type for name in sums} == {pa.decimal128(38, 6)}
    invoices = await read_parquet(api, "/api/v1/export/focus.parquet?range=all&dataset=invoice-detail")
    quantities = dict(zip(invoices["x_LineKind"].to_pylist(), invoices["x_PricingQuantity"].to_pylist(), strict=True))
    assert quantities == {"usage": 1, "contracted": largest, "add_on": 50 * largest}


async def test_empty_files_have_a_header_and_requests_that_make_no_sense_are_refused(api: Api, db: TableRows) -> None:
    for dataset, table in TABLES.items():
        answer = await api.ask(f"{FOCUS}&dataset={dataset}", organization="org_unknown")
        assert answer.text == header_of(table.columns)
    await db.organization()
    for query in (
        "version=1.2&dataset=billing-period", "version=1.4&dataset=invoice-detail&split=people",
        "version=1.4&dataset=invoice-detail&actor=x", "version=1.3",
    ):  # fmt: skip
        assert (await api.ask(f"/api/v1/export/focus.csv?{query}")).status_code == 422, query


@pytest.mark.parametrize(
    ("first", "end", "text"),
    [
        ("2026-01-01", "2027-01-01", "1 Year"), ("2026-01-31", "2026-02-28", "28 Days"), ("2026-01-15", "2026-02-15", "1 Month"),
        ("2026-01-01", "9999-12-31", "Open-ended"), ("2026-01-01", "2029-01-01", "3 Years"), ("2026-01-01", "2026-01-02", "1 Day"),
    ],
)  # fmt: skip
def test_durations_are_whole_years_months_or_days(first: str, end: str, text: str) -> None:
    assert duration_of(Span(date.fromisoformat(first), date.fromisoformat(end))) == text
