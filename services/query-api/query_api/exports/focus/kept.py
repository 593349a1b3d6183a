"""What is kept of a FOCUS file besides its usage, and its batches again. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from query_api.calendar import Days
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import BillingAccount, FocusDay, FocusLabel, each_day, focus_labels
from query_api.exports.domain.labels import Label, UsedSeries
from query_api.exports.focus.batches import usage_batch, usage_of_rows
from query_api.exports.focus.domain.charges import DayInvoice, sku_details
from query_api.exports.formats.batches import Batch
from query_api.exports.formats.rows import Rows
from query_api.exports.manifests.keeping import Keeper


def keep_account(keeper: Keeper, account: BillingAccount, series: Sequence[UsedSeries]) -> None:
    keeper.begin(series)
    keeper.about |= {"account": account, "days": [], "invoices": []}


def keep_days(keeper: Keeper, calendar: Sequence[FocusDay], invoices: Sequence[DayInvoice] | None) -> None:
    """The days of a month, with their prices and the texts of their periods."""
    keeper.about["days"] += [[day.day.isoformat(), *day[1:]] for day in calendar]
    keeper.about["invoices"] += invoices or []


class FocusAgain:
    """Usage of a file as it was written, by what is kept of it."""

    def __init__(self, about: Mapping[str, Any], rules: CellRules) -> None:
        self._account, self._rules = BillingAccount(*about["account"]), rules
        days = [FocusDay(date.fromisoformat(day), *rest) for day, *rest in about["days"]]
        self._days = {day.day: day for day in days}
        invoices = [DayInvoice(*each) for each in about["invoices"]]
        self._invoices = dict(zip(self._days, invoices, strict=True)) if invoices else None
        self._of: Sequence[Label] | None = None
        self._cells: list[FocusLabel] = []
        self._details: list[str | None] = []

    def batch(self, days: Days, labels: Sequence[Label], rows: Rows) -> Batch:
        if labels is not self._of:
            self._of, self._cells = labels, focus_labels(labels, self._rules)
            self._details = [sku_details(label) for label in labels]
        some = list(each_day(days))
        invoices = None if self._invoices is None else [self._invoices[day] for day in some]
        calendar = [self._days[day] for day in some]
        return usage_batch(usage_of_rows(rows), self._cells, self._details, calendar, invoices, self._account)
