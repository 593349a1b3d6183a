"""Lines of the dataset Cost and Usage of FOCUS 1.2 and 1.4."""

import asyncio
from contextlib import aclosing
from functools import partial

from flexcredits_schemas.events import PRODUCTS

from query_api.db.session import ReadSession
from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.focus import FocusDay, focus_days, focus_labels, purchase_lines
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.domain.labels import Catalog, Label, UsedSeries
from query_api.exports.focus.batches import usage_batch, usage_of_people, usage_of_rows
from query_api.exports.focus.domain import charges
from query_api.exports.focus.domain.charges import bill_by_period, day_invoices, sku_details
from query_api.exports.focus.queries import copy_focus_people
from query_api.exports.focus.reading import FocusData
from query_api.exports.formats.files import Parts, copied, lines_of
from query_api.exports.parts import ALL_KINDS, label_months, read_catalog, read_usage_rows
from query_api.exports.queries import copy_focus_1_2, copy_focus_1_2_people, select_exported_series

SPLIT_COLUMNS = ("x_Actor", "x_Group", "x_ActorKind")
"""Further columns of a file of FOCUS 1.2 that is split by people."""


async def read_usage(session: ReadSession, data: FocusData) -> tuple[list[UsedSeries], Catalog]:
    series = await select_exported_series(session, PRODUCTS, ALL_KINDS, None)
    return series, await read_catalog(session, PRODUCTS, data.book.today)


async def parts_1_2(session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog]) -> Parts:
    """Only for CSV."""
    account, book = data.account, data.book
    empty = [None] * (len(SPLIT_COLUMNS) if data.who else 0)
    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods)
        if data.who is None:
            copies = [partial(copy_focus_1_2, session, focus_labels(labels), calendar, month, account)]
        else:
            copies = [
                partial(copy_focus_1_2_people, session, focus_labels(_of_day(labels, day)), day, account, data.who)
                for day in calendar
            ]
        for copy in copies:
            async with aclosing(copied(copy)) as pieces:
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
    session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog], rules: CellRules
) -> Parts:
    account, book = data.account, data.book
    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods, rules)
        calendar = bill_by_period(calendar, book.periods, account.time_zone)
        invoices = day_invoices(calendar, book.periods, rules)
        cells, details = focus_labels(labels, rules), [sku_details(label) for label in labels]
        if data.who is None:
            async for days, rows in read_usage_rows(session, labels, month, None):
                some = slice((days.first - month.first).days, (days.last - month.first).days + 1)
                used = usage_of_rows(rows)
                yield await asyncio.to_thread(
                    usage_batch, used, cells, details, calendar[some], invoices[some], account
                )
        else:
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


def _of_day(labels: list[Label], day: FocusDay) -> list[Label]:
    return [label for label in labels if label.first <= day.day <= label.last]
