"""Lines of the dataset Cost and Usage of FOCUS 1.2 and 1.4."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import GUARDED, CellRules
from query_api.exports.domain.focus import BillingAccount, FocusDay, focus_days, focus_labels, purchase_lines
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.domain.labels import Catalog, Label, UsedSeries
from query_api.exports.focus.batches import usage_batch, usage_of_people, usage_of_rows
from query_api.exports.focus.domain import charges
from query_api.exports.focus.domain.charges import DayInvoice, bill_by_period, day_invoices, sku_details
from query_api.exports.focus.kept import keep_account, keep_days
from query_api.exports.focus.queries import copy_focus_people
from query_api.exports.focus.reading import FocusData
from query_api.exports.formats.batches import Batch
from query_api.exports.formats.files import Parts, copied, lines_of
from query_api.exports.formats.rows import LabelIndex
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.parts import ALL_KINDS, label_months, read_catalog, read_usage_rows
from query_api.exports.queries import copy_focus_1_2_people, select_exported_series

SPLIT_COLUMNS = ("x_Actor", "x_Group", "x_ActorKind")
"""Further columns of a file of FOCUS 1.2 that is split by people."""


async def read_usage(session: ReadSession, data: FocusData) -> tuple[list[UsedSeries], Catalog]:
    series = await select_exported_series(session, PRODUCTS, ALL_KINDS, None)
    return series, await read_catalog(session, PRODUCTS, data.book.today)


async def parts_1_2(
    session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog], keeper: Keeper | None
) -> Parts:
    """Only for CSV."""
    account, book = data.account, data.book
    empty = [None] * (len(SPLIT_COLUMNS) if data.who else 0)
    if keeper:
        keep_account(keeper, account, usage[0])
    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods)
        if data.who is None:
            async for batch in _month(session, month, labels, calendar, None, account, GUARDED, keeper):
                yield batch
        else:
            cells = focus_labels(labels)
            for day in calendar:
                of_day = [label for label in cells if label.first <= day.day <= label.last]
                about = of_day, day, account, data.who
                async with aclosing(copied(partial(copy_focus_1_2_people, session, *about))) as pieces:
                    async for piece in pieces:
                        yield piece
        if not data.names_who:
            yield [[*line, *empty] for line in purchase_lines(calendar, data.overage, account)]
    if data.names_who:
        return
    corrections = price_corrections(book.contracts, book.periods, data.used, data.overage, data.days)
    lines = (line for correction in corrections for line in correction_lines([correction], account))
    async for part in lines_of([*line, *empty] for line in lines):
        yield part


async def parts_1_4(
    session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog], rules: CellRules,
    keeper: Keeper | None,
) -> Parts:  # fmt: skip
    account, book = data.account, data.book
    if keeper:
        keep_account(keeper, account, usage[0])
    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods, rules)
        calendar = bill_by_period(calendar, book.periods, account.time_zone)
        invoices = day_invoices(calendar, book.periods, rules)
        if data.who is None:
            async for batch in _month(session, month, labels, calendar, invoices, account, rules, keeper):
                yield batch
        else:
            cells, details = focus_labels(labels, rules), [sku_details(label) for label in labels]
            for day, invoice in zip(calendar, invoices, strict=True):
                of_day = [at for at, label in enumerate(labels) if label.first <= day.day <= label.last]
                copy = partial(copy_focus_people, session, [labels[at].series_id for at in of_day], day.day, data.who)
                about = [cells[at] for at in of_day], [details[at] for at in of_day], [day], [invoice], account
                async with aclosing(copied(copy)) as pieces:
                    async for piece in pieces:
                        used = await asyncio.to_thread(usage_of_people, piece, rules)
                        yield await asyncio.to_thread(usage_batch, used, *about)
    if data.names_who:
        return
    for lines in (
        charges.charge_lines(book, data.overage, data.days, account, rules),
        charges.correction_lines(book, data.used, data.overage, data.days, account, rules),
    ):
        async for part in lines_of(lines):
            yield part


async def _month(
    session: ReadSession, month: Days, labels: list[Label], calendar: list[FocusDay], invoices: list[DayInvoice] | None,
    account: BillingAccount, rules: CellRules, keeper: Keeper | None,
) -> AsyncGenerator[Batch, None]:  # fmt: skip
    """Usage of a month. Without invoices, of FOCUS 1.2."""
    cells, details = focus_labels(labels, rules), [sku_details(label) for label in labels]
    if keeper:
        await asyncio.to_thread(keeper.begin_month, labels)
        keep_days(keeper, calendar, invoices)
    index = await asyncio.to_thread(LabelIndex, labels)
    async for days, rows in read_usage_rows(session, index, month, None):
        if keeper:
            await asyncio.to_thread(keeper.add_usage, days, rows)
        some = slice((days.first - month.first).days, (days.last - month.first).days + 1)
        of_days = calendar[some], None if invoices is None else invoices[some]
        yield await asyncio.to_thread(usage_batch, usage_of_rows(rows), cells, details, *of_days, account)
