"""Reads the usage of one range of days, and keeps it in memory until it changes."""

from collections.abc import Mapping
from typing import NamedTuple

from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import Days
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.explain.queries import sum_corrections, sum_late_uses
from query_api.usage.domain.series import PickedSeries, SeriesColumns
from query_api.usage.queries import sum_series_usage
from query_api.usage.versions import UsageVersion

CORRECTED_BYTES = 150
"""Of a series with corrections."""


class RangeUsage(NamedTuple):
    """Usage of a range; may contain further series."""

    columns: SeriesColumns | None
    corrections: Mapping[int, int]
    """Micro-credits by series."""
    late: Mapping[str, int]
    """Uses that were received after the range, by product."""


async def read_range(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, series: PickedSeries, days: Days
) -> RangeUsage:
    """The usage of the series. If it is read for all series, it is read again only when a month of the range has changed."""
    key = ("explained range", session.organization_id, days)
    its_version = tuple((month, version.of_month(month, *PRODUCTS)) for month in version.months_in(days))
    is_of_all = series.picks() is None
    kept: RangeUsage | None = cache.get(key, its_version) if is_of_all else None
    if kept is not None:
        return kept
    columns = (await sum_series_usage(session, series, [days])).get(days.first)
    usage = RangeUsage(columns, await sum_corrections(session, days), await sum_late_uses(session, days))
    if is_of_all:
        size = 1_000 + (columns.size if columns else 0) + CORRECTED_BYTES * len(usage.corrections)
        cache.put(key, its_version, usage, size)
    return usage
