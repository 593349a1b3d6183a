"""Lines of usage.csv and usage.parquet."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import pyarrow as pa
from fastapi import Request

from query_api.access.state import app_state
from query_api.attributions.cells import EVERYTHING
from query_api.attributions.domain.spans import Span
from query_api.attributions.usage import choose_spans
from query_api.auth.principal import Principal
from query_api.calendar import Days, today_in
from query_api.contracts.range import choose_days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import CellRules, surfaces_in_name
from query_api.exports.domain.focus import BillingAccount, each_day
from query_api.exports.domain.kinds import Columns
from query_api.exports.domain.labels import Catalog, Label, UsedSeries, label_cells
from query_api.exports.formats.batches import Batch, Keyed, constant, decimals, key_of, key_of_used, texts
from query_api.exports.formats.files import FileWriter, Parts
from query_api.exports.formats.rows import LabelIndex, Rows
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.parts import (
    BOM,
    LABEL_COLUMNS,
    UsageFileQuery,
    choose_products,
    label_months,
    read_account,
    read_catalog,
    read_usage_rows,
    who_in_name,
)
from query_api.exports.planned import Planned
from query_api.exports.queries import select_exported_series

USAGE_COLUMNS: Columns = {
    "date": "day", **dict.fromkeys(LABEL_COLUMNS, "text"), "line": "text", "credits": "credits", "events": "count",
    "organization_id": "text", "time_zone": "text",
}  # fmt: skip
_LINES = pa.array(["usage", "correction"])


class UsageCsvQuery(UsageFileQuery):
    bom: bool = BOM


class UsageData(NamedTuple):
    """Read before the file begins."""

    days: Days
    series: list[UsedSeries]
    catalog: Catalog
    account: BillingAccount
    spans: Sequence[Span] | None
    """The attributions whose usage is in the file; None: all."""


async def read_usage_data(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, rules: CellRules
) -> UsageData:
    """Raises ApiProblem."""
    today = today_in(session.organization.time_zone, app_state(request).now())
    products, kinds = choose_products(query)
    days = await choose_days(session, query, today)
    series = await select_exported_series(session, products, kinds, query.surface)
    ids = [each.series_id for each in series]
    chosen = await choose_spans(session, query, today, days, None, ids, split=EVERYTHING)
    catalog = await read_catalog(session, products, today)
    account = read_account(request, session, principal, rules)
    return UsageData(days, series, catalog, account, None if chosen is None else chosen.spans)


async def plan_usage(
    request: Request, session: ReadSession, principal: Principal, query: UsageFileQuery, writer: FileWriter
) -> Planned:
    """Raises ApiProblem."""
    data = await read_usage_data(request, session, principal, query, writer.rules)
    what = ("usage", query.product, query.view, surfaces_in_name(query.surface), who_in_name(query))
    return Planned(
        "usage", data.days, what, writer, partial(usage_parts, session, data, writer.rules), tuple(USAGE_COLUMNS), "credits",
        is_of_some=data.spans is not None,
    )  # fmt: skip


async def usage_parts(session: ReadSession, data: UsageData, rules: CellRules, keeper: Keeper | None) -> Parts:
    if data.spans is not None and not data.spans:
        return
    if keeper:
        keeper.begin(data.series)
    async for month, labels in label_months(session, data.series, data.catalog, data.days):
        cells = [label_cells(label, rules) for label in labels]
        if keeper:
            await asyncio.to_thread(keeper.begin_month, labels)
        index = await asyncio.to_thread(LabelIndex, labels)
        async for days, rows in read_usage_rows(session, index, month, data.spans):
            if keeper:
                await asyncio.to_thread(keeper.add_usage, days, rows)
            yield await asyncio.to_thread(usage_batch, rows, days, cells, data.account)


def usage_batch(rows: Rows, days: Days, labels: Sequence[Label], account: BillingAccount) -> Batch:
    by_day, (by_label, used) = key_of(rows.day), key_of_used(rows.label)
    labels = [labels[at] for at in used]
    columns = {
        "date": Keyed(by_day, pa.array(list(each_day(days)))),
        **{name: Keyed(by_label, texts(getattr(label, name) for label in labels)) for name in LABEL_COLUMNS},
        "line": Keyed(key_of(rows.is_correction), _LINES),
        "credits": decimals(rows.credits, "credits"),
        "events": pa.array(rows.events),
        "organization_id": constant("text", account.organization),
        "time_zone": constant("text", account.time_zone),
    }
    return Batch(len(rows.day), columns)
