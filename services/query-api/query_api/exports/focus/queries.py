"""Statements for FOCUS 1.4, which run as long as the client reads. Credits are micro-credits."""

from collections.abc import Sequence

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.exports.domain.cells import CellPatterns
from query_api.exports.domain.focus import BillingAccount, FocusDay, FocusLabel
from query_api.exports.focus.domain.charges import APPLIED_AFTER, DayInvoice
from query_api.exports.queries import Output, columns_of, copy_lines
from query_api.exports.who import WhoFilter


async def copy_focus_1_4(
    session: ReadSession, labels: Sequence[FocusLabel], details: Sequence[str | None], calendar: Sequence[FocusDay],
    invoices: Sequence[DayInvoice], days: Days, account: BillingAccount, patterns: CellPatterns,
    who: WhoFilter | None, output: Output,
) -> None:  # fmt: skip
    """Usage as CSV lines without a header, passed to `output` as Postgres sends them; with `who`, of one day and by who used it.

    `details` has one text for each label, `calendar` and `invoices` one row for each day.
    """
    _, *of_ids = patterns
    values = (
        *account, *columns_of(FocusLabel, labels), details, *columns_of(FocusDay, calendar), *columns_of(DayInvoice, invoices),
        who is not None, *of_ids, *(who or WhoFilter(None, None, None, None)), APPLIED_AFTER,
    )  # fmt: skip
    await copy_lines(session, SQL["copy_focus_1_4"], *days, *values, output=output)
