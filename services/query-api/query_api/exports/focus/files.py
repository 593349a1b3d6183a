"""Files of FOCUS 1.2 and 1.4."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from fastapi import Request
from pydantic import Field

from query_api.access.state import app_state
from query_api.auth.principal import Principal
from query_api.calendar import Days, today_in
from query_api.contracts.queries import select_days
from query_api.db.session import ReadSession
from query_api.exports.domain.cells import EXACT, GUARDED
from query_api.exports.domain.focus import FOCUS_COLUMNS
from query_api.exports.focus.cost_and_usage import SPLIT_COLUMNS, parts_1_2, parts_1_4, read_usage
from query_api.exports.focus.domain.columns import TABLES, Dataset
from query_api.exports.focus.domain.metadata import describe_datasets
from query_api.exports.focus.reading import FocusQuery, Version, read_focus, reference_lines
from query_api.exports.formats.files import CsvWriter, FileWriter, ParquetWriter, Parts, lines_of
from query_api.exports.manifests.keeping import Keeper
from query_api.exports.parts import BOM, who_in_name
from query_api.exports.planned import Planned
from query_api.freshness.queries import count_held, select_quarantine, select_watermark

CREDITS: dict[Dataset, str] = {"cost-and-usage": "ConsumedQuantity", "billing-period": "x_UsedCredits"}
"""The columns that add up to the used credits."""


class FocusFileQuery(FocusQuery):
    version: Version = Field("1.2", description="1.2 is available until November 2027.")
    bom: bool = BOM


async def plan_focus_csv(
    request: Request, session: ReadSession, principal: Principal, query: FocusFileQuery
) -> Planned:
    """Raises ApiProblem."""
    if query.version == "1.4":
        return await plan_focus(request, session, principal, query, "csv", bom=query.bom)
    columns = (*FOCUS_COLUMNS, *(SPLIT_COLUMNS if query.split else ()))
    writer = CsvWriter(columns, bom=query.bom)
    data = await read_focus(request, session, principal, query, "1.2", writer.rules)
    parts = partial(parts_1_2, session, data, await read_usage(session, data))
    what, column = ("focus", query.split, who_in_name(query)), CREDITS["cost-and-usage"]
    return Planned("focus", data.days, what, writer, parts, columns, column, is_of_some=query.names_who)


async def plan_focus(
    request: Request, session: ReadSession, principal: Principal, query: FocusQuery, form: Literal["csv", "parquet"], *,
    bom: bool = False,
) -> Planned:  # fmt: skip
    """A dataset of FOCUS 1.4. Raises ApiProblem."""
    rules = EXACT if form == "parquet" else GUARDED
    data = await read_focus(request, session, principal, query, "1.4", rules)
    columns = TABLES[query.dataset].columns
    writer: FileWriter = CsvWriter(columns, bom=bom)
    metadata: dict[str, str] = {}
    if form == "parquet":
        found = await read_metadata(request, session, principal, [query.dataset], data.days)
        metadata = {name: part if isinstance(part, str) else json.dumps(part) for name, part in found.items()}
        writer = ParquetWriter(columns, metadata)
    is_usage = query.dataset == "cost-and-usage"
    usage = await read_usage(session, data) if is_usage else None

    def parts(keeper: Keeper | None) -> Parts:
        if keeper:
            keeper.about["metadata"] = metadata
        if usage is None:
            return lines_of(reference_lines(data, query.dataset, rules))
        return parts_1_4(session, data, usage, rules, keeper)

    what = ("focus-1.4", None if is_usage else query.dataset, query.split, who_in_name(query))
    return Planned(
        "focus", data.days, what, writer, parts, tuple(columns), CREDITS.get(query.dataset),
        is_of_some=query.names_who, is_read=not is_usage,
    )  # fmt: skip


async def read_metadata(
    request: Request, session: ReadSession, principal: Principal, datasets: Sequence[Dataset], days: Days
) -> dict[str, Any]:
    """Of the days with usage, up to today: a credit period may have no end."""
    app = app_state(request)
    watermark = await select_watermark(session, app.topic)
    is_all_counted = not (await count_held(session, app.topic) or await select_quarantine(session))
    time_zone, used = session.organization.time_zone, await select_days(session)
    with_data = None
    if used is not None:
        first, last = max(days.first, used.first), min(days.last, max(used.last, today_in(time_zone, app.now())))
        with_data = Days(first, last) if first <= last else None
    return describe_datasets(
        datasets, principal.organization, days, with_data, time_zone, watermark.complete_to, is_all_counted, app.now()
    )
