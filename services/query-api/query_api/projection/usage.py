"""Reads what a projection starts from: the usage of an organization, a product or an agent by day, and what holds it back."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple, get_args

import numpy as np
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from flexcredits_schemas.projection.history import usual_day
from flexcredits_schemas.projection.refusals import why_not_counted
from runtime.forecast.project import DAYS_MAX

from query_api.access.state import AppState
from query_api.calendar import Days, Span, days_of
from query_api.contracts.domain.balance import period_state
from query_api.contracts.domain.periods import CreditPeriod
from query_api.db.session import ReadSession
from query_api.freshness.queries import count_held, select_quarantine
from query_api.projection.queries import sum_quarters_of_day, sum_series_days
from query_api.usage.product_days import ProductDays, concatenate, select_product_days, sum_products
from query_api.usage.queries import select_series, sum_series_usage
from query_api.usage.versions import UsageVersion


class ScopeUsage(NamedTuple):
    """Usage of what is projected, in micro-credits."""

    by_day: Mapping[date, int]
    """Since the beginning of the credit period, and of the days that a projection reads. Without the days before for an agent."""
    used: int
    """In the credit period."""
    available: int | None
    remaining: int | None

    def before(self, today: date) -> "ScopeUsage":
        """As it was when today began."""
        used = self.used - self.by_day.get(today, 0)
        remaining = None if self.available is None else min(self.available, max(0, self.available - used))
        return self._replace(used=used, remaining=remaining)


async def read_scope(
    app: AppState, session: ReadSession, version: UsageVersion, period: CreditPeriod, today: date, product: Product | None,
    agent: str | None,
) -> ScopeUsage:  # fmt: skip
    """Used and available credits are those of the overview."""
    first = today - timedelta(days=DAYS_MAX)
    if agent is not None:
        return await read_agent(session, period.span, Days(first, today), product, agent)
    [in_period] = await sum_products(session, app.cache, version, days_of(period.span))
    months = version.months_in(Days(min(first, period.span.starts_on), today))
    read = concatenate(await select_product_days(session, app.cache, version, months))
    by_day = sum_by_day(read, None if product is None else PRODUCTS.index(product))
    state = period_state(period, in_period)
    if product is None:
        return ScopeUsage(by_day, state.used, state.available, state.remaining)
    own = next(one for one in state.products if one.product == product)
    left = None if own.contracted is None else min(own.contracted, max(0, own.contracted - own.used))
    return ScopeUsage(by_day, own.used, own.contracted, left)


def sum_by_day(read: ProductDays, product: int | None) -> dict[date, int]:
    """Micro-credits of each day with usage, of one product by its place or of all."""
    picked = slice(None) if product is None else read.products == product
    ordinals, places = np.unique(read.days[picked], return_inverse=True)
    sums = np.zeros(len(ordinals), np.int64)
    np.add.at(sums, places, read.credits[picked])
    return {date.fromordinal(day): credits for day, credits in zip(ordinals.tolist(), sums.tolist(), strict=True)}


async def read_agent(session: ReadSession, span: Span, days: Days, product: Product | None, agent: str) -> ScopeUsage:
    every = await select_series(session, (product,) if product else PRODUCTS, get_args(FeatureKind))
    series = every._replace(by_id={key: one for key, one in every.by_id.items() if one.agent_id == agent})
    if not series.by_id:
        return ScopeUsage({}, 0, None, None)
    used = 0
    for columns in (await sum_series_usage(session, series, [days_of(span)])).values():
        used += int(columns.only(series.by_id).credits.sum())
    return ScopeUsage(await sum_series_days(session, days, sorted(series.by_id)), used, None, None)


async def read_quarters(
    app: AppState, session: ReadSession, version: UsageVersion, today: date
) -> list[tuple[datetime, int]]:
    """Quarters of an hour of the same weekday of the last week. Read once a day: late usage hardly changes their shape."""
    zone = session.organization.time_zone
    key, its_version = ("usual day", session.organization_id), (today, zone, version.rebuilt)
    kept: list[tuple[datetime, int]] | None = app.cache.get(key, its_version)
    if kept is None:
        kept = await sum_quarters_of_day(session, *usual_day(today, zone))
        app.cache.put(key, its_version, kept, 1_000 + 100 * len(kept))
    return kept


async def read_why_not_counted(app: AppState, session: ReadSession, version: UsageVersion, today: date) -> str | None:
    """Why so much usage is not counted that a projection would be too low; None if all is counted."""
    events: dict[date, int] = {}
    for (month, _), count in version.events.items():
        events[month] = events.get(month, 0) + count
    is_quarantined = any(entry.component == "aggregator" for entry in await select_quarantine(session))
    held = await count_held(session, app.topic)
    return why_not_counted(is_quarantined=is_quarantined, held=held, events=events, today=today)
