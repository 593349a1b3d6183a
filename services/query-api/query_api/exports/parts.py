"""What files have in common: parameters, labels by month, and the audit entry."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any, get_args

import numpy as np
from fastapi import Request
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.audit import audit
from query_api.access.state import app_state
from query_api.attributions.domain.spans import Span
from query_api.attributions.schemas import WhoQuery
from query_api.auth.principal import Principal
from query_api.calendar import Days
from query_api.contracts.queries import select_days
from query_api.contracts.range import RangeQuery
from query_api.db.session import ReadSession, write_as
from query_api.exports.domain.cells import (
    GUARDED,
    CellRules,
)
from query_api.exports.domain.focus import (
    BillingAccount,
)
from query_api.exports.domain.labels import Catalog, Label, UsedSeries, build_labels, fixed_pieces, months_of
from query_api.exports.formats.files import ParquetWriter
from query_api.exports.formats.rows import LabelIndex, Rows, read_rows
from query_api.exports.queries import (
    copy_usage,
    prepare_copy,
    select_used_series,
)
from query_api.http.problems import invalid_parameter
from query_api.usage.domain.catalog import Features, View
from query_api.usage.queries import select_agents, select_features
from query_api.usage.views import kinds_of

LABEL_COLUMNS = (
    "product", "kind", "category", "category_now", "feature", "feature_name", "agent_id", "agent_name", "agent_status", "surface",
)  # fmt: skip
"""Columns of a Label, by the names of its fields."""

ROWS_AT_ONCE = 16_384
"""Rows of a read, unless a day has more, and lines of a part. These are some 10 MB of FOCUS."""

LINES_OF_ONE = (
    "This organization shows usage by group only, and a line of this file may be about one person: a group's day and feature. "
    "The tab People shows groups. A Super Admin can change this."
)

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)

_COMPLETE = "The file. It is complete if the response ends as HTTP defines; otherwise the connection is closed early."
A_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": _COMPLETE,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": '"date","product",...\r\n2026-11-22,agents,...\r\n'}
        },
    }
}
A_JSON_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": _COMPLETE, "content": {"application/json": {"schema": {"type": "object"}}}, "headers": {}}
}
A_PARQUET_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": _COMPLETE,
        "content": {ParquetWriter.media_type: {}},  # binary: OpenAPI 3.1 gives no schema
    }
}


BOM = Field(False, description="Start the file with a byte order mark, so that Excel reads it as UTF-8.")


class UsageQuery(RangeQuery):
    """Which usage, and which days. Without a product, all products."""

    product: Product | None = None
    view: View | None = Field(None, description="Only kinds of feature that this view of the product shows.")
    surface: list[str] | SkipJsonSchema[None] = Field(None, description="Only these surfaces; may be repeated.")


class UsageFileQuery(UsageQuery, WhoQuery):
    """Also whose usage."""


def who_in_name(query: WhoQuery) -> str | None:
    """Part of a file's name. It names no person, so that a name in a folder or the audit log reveals none."""
    given = [name for name in ("actor", "group", "label") if getattr(query, name) is not None]
    return f"by-{'-'.join(given)}" if given else None


def choose_products(query: UsageQuery) -> tuple[list[Product], tuple[FeatureKind, ...]]:
    """Products and kinds of feature that a request selects. Raises ApiProblem."""
    if query.product is None:
        if query.view is not None:
            raise invalid_parameter("view", "needs a `product`")
        return list(PRODUCTS), ALL_KINDS
    return [query.product], ALL_KINDS if query.view is None else kinds_of(query.product, query.view)


async def audit_export(request: Request, principal: Principal, name: str) -> None:
    """Audit the download before the file is sent.

    Uses a connection of the other pool: waiting for a second one of the same pool could deadlock.
    """
    await _audit(request, principal, {"file": name, "query": without_people(request.url.query)})


async def audit_past_export(request: Request, principal: Principal, name: str, export_id: str) -> None:
    """Audit that a file is sent again."""
    await _audit(request, principal, {"file": name, "again": export_id})


async def _audit(request: Request, principal: Principal, details: dict[str, str]) -> None:
    async with write_as(app_state(request).pool, principal.organization) as session:
        if session.organization_id is not None:  # an unknown organization has no data
            await audit(session, principal, "export", details)


def without_people(query: str) -> str:
    """The query string without values that may name a person: the audit log is kept longer than names."""
    return re.sub(r"(?<![^&])(actor|label)=[^&]*", r"\1=...", query)


def read_account(
    request: Request, session: ReadSession, principal: Principal, rules: CellRules = GUARDED
) -> BillingAccount:
    """The billing account and the provider for a file."""
    name, provider = rules.text(session.organization.name), app_state(request).provider_name
    return BillingAccount(principal.organization, name, provider, session.organization.time_zone)


async def read_catalog(session: ReadSession, products: Sequence[Product], today: date) -> Catalog:
    features: dict[str, Features] = {
        product: Features(await select_features(session, product, ALL_KINDS), today) for product in products
    }
    return Catalog(features, await select_agents(session), today)


async def label_months(
    session: ReadSession, series: list[UsedSeries], catalog: Catalog, days: Days
) -> AsyncIterator[tuple[Days, list[Label]]]:
    """Labels month by month, so that Postgres sorts in memory and the first lines are sent early."""
    await prepare_copy(session)
    for month in months_of(days, await select_days(session)):
        used = await select_used_series(session, month)
        yield month, build_labels((each for each in series if each.series_id in used), month, catalog)


async def read_usage_rows(
    session: ReadSession, labels: LabelIndex, days: Days, spans: Sequence[Span] | None
) -> AsyncIterator[tuple[Days, Rows]]:
    """Lines of usage with one of these labels, at most ROWS_AT_ONCE, with the days that their indexes begin at.

    `spans`: of these attributions only. Lines of a day may be in several parts. Parts end on fixed days, so that files of other
    days have the same ones.
    """
    series: list[int] = np.unique(labels.series).tolist()
    if not series:
        return
    for some in fixed_pieces(days, ROWS_AT_ONCE // len(series)):
        data = await copy_usage(session, series, some, spans)
        rows = await asyncio.to_thread(read_rows, data, labels, some)
        del data
        for piece in rows.pieces(ROWS_AT_ONCE):
            yield some, piece
