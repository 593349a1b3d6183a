"""Writes the dataset Cost and Usage of FOCUS 1.2 and 1.4 as CSV lines."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import CellRules, end_lines, write_lines
from query_api.exports.domain.focus import focus_days, focus_labels, purchase_lines
from query_api.exports.domain.focus_corrections import correction_lines, price_corrections
from query_api.exports.domain.labels import Catalog, UsedSeries
from query_api.exports.focus.domain import charges
from query_api.exports.focus.domain.charges import bill_by_period, day_invoices, sku_details
from query_api.exports.focus.queries import copy_focus_1_4
from query_api.exports.focus.reading import FocusData
from query_api.exports.parts import ALL_KINDS, label_months, read_catalog
from query_api.exports.queries import copy_focus, copy_focus_people, select_exported_series

SPLIT_COLUMNS = ("x_Actor", "x_Group")
"""Further columns of a file of FOCUS 1.2 that is split by people."""

LINES_AT_ONCE = 500
"""Lines per step: formatting them takes about 20 ms, then other requests run."""

PutLines = Callable[[bytes], Awaitable[None]]


async def read_usage(session: ReadSession, data: FocusData) -> tuple[list[UsedSeries], Catalog]:
    series = await select_exported_series(session, PRODUCTS, ALL_KINDS, None)
    return series, await read_catalog(session, PRODUCTS, data.book.today)


async def write_1_2(
    session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog], put: PutLines
) -> None:
    account, book = data.account, data.book
    empty = [None] * (len(SPLIT_COLUMNS) if data.who else 0)

    async def put_lines(lines: bytes) -> None:
        await put(end_lines(lines))

    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods)
        if data.who is None:
            await copy_focus(session, focus_labels(labels), calendar, month, account, put_lines)
        else:
            for day in calendar:
                of_day = [label for label in labels if label.first <= day.day <= label.last]
                await copy_focus_people(session, focus_labels(of_day), day, account, data.who, put_lines)
        if not data.names_who and (lines := purchase_lines(calendar, data.overage, account)):
            await put(write_lines([*line, *empty] for line in lines))
    if data.names_who:
        return
    corrections = price_corrections(book.contracts, book.periods, data.used, data.overage, data.days)
    formatted = bytearray()
    while some := list(islice(corrections, LINES_AT_ONCE)):
        formatted += write_lines([*line, *empty] for line in correction_lines(some, account))
        await asyncio.sleep(0)
    if formatted:
        await put(bytes(formatted))


async def write_1_4(
    session: ReadSession, data: FocusData, usage: tuple[list[UsedSeries], Catalog], rules: CellRules, put: PutLines
) -> None:
    account, book = data.account, data.book

    async def put_lines(lines: bytes) -> None:
        await put(end_lines(lines))

    async for month, labels in label_months(session, *usage, data.days):
        calendar = focus_days(month, account.time_zone, book.contracts, book.periods, rules)
        calendar = bill_by_period(calendar, book.periods, account.time_zone)
        invoices = day_invoices(calendar, book.periods, rules)
        if data.who is None:
            details = [sku_details(label) for label in labels]
            await copy_focus_1_4(
                session, focus_labels(labels, rules), details, calendar, invoices, month, account, rules.patterns, None,
                put_lines,
            )  # fmt: skip
        else:
            for day, invoice in zip(calendar, invoices, strict=True):
                of_day = [label for label in labels if label.first <= day.day <= label.last]
                await copy_focus_1_4(
                    session, focus_labels(of_day, rules), [sku_details(label) for label in of_day], [day], [invoice],
                    Days(day.day, day.day), account, rules.patterns, data.who, put_lines,
                )  # fmt: skip
    if data.names_who:
        return
    for lines in (
        charges.charge_lines(book, data.overage, data.days, account, rules),
        charges.correction_lines(book, data.used, data.overage, data.days, account, rules),
    ):
        await put_formatted(lines, put)


async def put_formatted(lines: Iterable[Iterable[str | None]], put: PutLines) -> None:
    """Formats lines in steps, so that other requests run in between."""
    rest = iter(lines)
    while some := list(islice(rest, LINES_AT_ONCE)):
        await put(write_lines(some))
        await asyncio.sleep(0)
