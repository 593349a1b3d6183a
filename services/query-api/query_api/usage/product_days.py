"""Usage of products on days. Whole months are sums of the version; the days of a month are read again only if it changed."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import Days, by_grain
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.usage.domain.series import Numbers
from query_api.usage.queries import read_product_days
from query_api.usage.versions import UsageVersion


class ProductDays(NamedTuple):
    """Usage of the products on days, in parallel arrays. A product may occur several times on a day."""

    products: Numbers
    """Indexes in PRODUCTS."""
    days: Numbers
    """Proleptic ordinals, as of date.toordinal()."""
    credits: Numbers
    """Micro-credits. No sum exceeds 64 bits, because the aggregator limits the sums of an organization."""
    events: Numbers


NO_DAYS = ProductDays(*(np.zeros(0, np.int64) for _ in range(4)))


async def select_product_days(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, months: Sequence[date]
) -> list[ProductDays]:
    """The days of each of these months, as in the session's snapshot, of which `version` is."""
    found: dict[date, ProductDays] = {}
    keys = {month: ("product days", session.organization_id, month) for month in months}
    versions = {month: version.of_month(month, *PRODUCTS) for month in months}
    for month in months:
        kept: ProductDays | None = cache.get(keys[month], versions[month])
        if kept:
            found[month] = kept
    if changed := [month for month in months if month not in found]:
        for month, *columns in await read_product_days(session, changed):
            read = found[month] = ProductDays(*(np.array(column, np.int64) for column in columns))
            cache.put(keys[month], versions[month], read, 1_000 + 4 * read.days.nbytes)
    return [found.get(month, NO_DAYS) for month in months]


async def sum_products(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, *ranges: Days
) -> list[dict[str, int]]:
    """Micro-credits by product, for each range of days. Includes products without usage."""
    grains = [by_grain(days) for days in ranges]
    partial = [[part for part in (before, after) if part] for before, _, after in grains]
    months = sorted({month for parts in partial for part in parts for month in version.months_in(part)})
    read = concatenate(await select_product_days(session, cache, version, months))
    sums = []
    for (_, whole, _), parts in zip(grains, partial, strict=True):
        used = dict[str, int](dict.fromkeys(PRODUCTS, 0))
        for (month, product), credits in version.credits.items():
            if whole and whole.first <= month <= whole.last:
                used[product] += credits
        for part in parts:
            inside = (read.days >= part.first.toordinal()) & (read.days <= part.last.toordinal())
            for place, product in enumerate(PRODUCTS):
                used[product] += int(read.credits[inside & (read.products == place)].sum())
        sums.append(used)
    return sums


async def sum_product_buckets(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, firsts: Sequence[date], last: date
) -> dict[str, tuple[list[int], list[int]]]:
    """Micro-credits and events of each product in the buckets that begin on the days `firsts`, up to the day `last`."""
    months = version.months_in(Days(firsts[0], last))
    read = concatenate(await select_product_days(session, cache, version, months))
    inside = (read.days >= firsts[0].toordinal()) & (read.days <= last.toordinal())
    starts = np.array([first.toordinal() for first in firsts], np.int64)
    places = np.searchsorted(starts, read.days[inside], side="right") - 1
    sums: list[list[list[int]]] = []
    for column in (read.credits, read.events):
        table = np.zeros((len(PRODUCTS), len(firsts)), np.int64)
        np.add.at(table, (read.products[inside], places), column[inside])
        sums.append(table.tolist())
    return {product: (sums[0][place], sums[1][place]) for place, product in enumerate(PRODUCTS)}


def concatenate(months: Sequence[ProductDays]) -> ProductDays:
    return ProductDays(*(np.concatenate(columns) for columns in zip(*months, strict=True))) if months else NO_DAYS
