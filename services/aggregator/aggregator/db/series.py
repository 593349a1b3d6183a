"""Numbers of series: creates them within the limit of each organization, in transactions before the batch."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import date

import asyncpg
import structlog
from runtime.postgres.pool import Connection, Pool

from aggregator import metrics
from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.limits.admission import Admission
from aggregator.domain.limits.series_key import SeriesKey

log = structlog.get_logger()
LEARN_AT_ONCE = 20_000
"""Series per statement, which then takes tenths of a second."""

Key = tuple[str, str, str, str, str, str]
Numbers = dict[SeriesKey, int]
Recorded = dict[SeriesKey, SeriesKey]


async def learn_series(pool: Pool, catalog: Catalog, keys: Collection[Key], month: date) -> None:
    """Load the numbers of series, create those that have none yet, and likewise for their organizations.

    In the month of the receipt, an organization creates at most `series_per_month`; further ones get the number of a series
    that stands for them (see Admission). The ledger keeps what was decided. Numbers without usage do no harm, and the
    counting transaction never waits for new series of another one.
    """
    catalog.make_room()
    missing = [SeriesKey._make(key) for key in sorted(set(keys) - catalog.series_ids.keys())]
    await catalog.learn_organizations(pool, {key.organization for key in missing})
    for start in range(0, len(missing), LEARN_AT_ONCE):
        portion = missing[start : start + LEARN_AT_ONCE]
        numbers, recorded = await _select(pool, catalog, portion), Recorded()
        if new := [key for key in portion if key not in numbers]:
            created, recorded = await _create(pool, catalog, new, month)
            numbers |= created
        catalog.note_series(numbers, recorded)


async def _create(pool: Pool, catalog: Catalog, new: Sequence[SeriesKey], month: date) -> tuple[Numbers, Recorded]:
    """Numbers of series without a row, and the series as which each is recorded."""
    most, used = catalog.series_per_month, await _select_used(pool, catalog, new, month)
    adds = Counter(key.organization for key in new)
    near = [key for key in new if used[key.organization] + adds[key.organization] > most]
    others = {fold for key in near for fold in (key.fold_part(), key.fold_all())} - set(new)
    known = await _select(pool, catalog, sorted(others)) if others else {}
    admission = Admission({(name, month): number for name, number in used.items()}, known, most)
    recorded = {key: admission.admit(key, month) for key in new}
    created = sorted(admission.created)
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL["ensure_series"], *_columns(catalog, created)) if created else []
        await _count(connection, catalog, rows, {name: number for (name, _), number in admission.folded.items()}, month)
    if len(rows) == len(created):
        known |= zip(created, sorted(row["series_id"] for row in rows), strict=True)
    else:  # another aggregator has just created some
        known |= await _select(pool, catalog, created)
    for (organization, _), number in admission.folded.items():
        if number:
            metrics.FOLDED_SERIES.inc(number)
            log.warning("series beyond the limit", organization=organization, month=str(month), folded=number)
    return {key: known[kept] for key, kept in recorded.items()}, recorded


async def _select_used(pool: Pool, catalog: Catalog, new: Iterable[SeriesKey], month: date) -> Counter[str]:
    names = {catalog.organizations[name].organization_id: name for name in {key.organization for key in new}}
    rows = await pool.fetch(SQL["select_series_months"], sorted(names), month)
    return Counter({names[row["organization_id"]]: row["created"] for row in rows})


async def _count(
    connection: Connection, catalog: Catalog, created: Iterable[asyncpg.Record], folded: dict[str, int], month: date
) -> None:
    of_each = Counter(row["organization_id"] for row in created)
    beyond = {catalog.organizations[name].organization_id: number for name, number in folded.items()}
    rows = [
        (number, month, of_each[number], beyond.get(number, 0)) for number in sorted(of_each.keys() | beyond.keys())
    ]
    if rows:
        await connection.execute(SQL["count_series"], *columns_of(rows))


async def _select(pool: Pool, catalog: Catalog, keys: Sequence[SeriesKey]) -> Numbers:
    rows = await pool.fetch(SQL["select_series"], *_columns(catalog, keys))
    return {keys[row["position"] - 1]: row["series_id"] for row in rows}


def _columns(catalog: Catalog, keys: Sequence[SeriesKey]) -> list[list[object]]:
    columns: list[list[object]] = [list(column) for column in zip(*keys, strict=True)]
    columns[0] = [catalog.organizations[key.organization].organization_id for key in keys]
    return columns


async def select_series_parts(connection: Connection, numbers: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """By number, the dimensions of series as SeriesKey.counts_as() takes them."""
    rows = await connection.fetch(SQL["select_series_parts"], sorted(numbers))
    return {
        row["series_id"]: (row["product"], row["feature_kind"], row["feature"], row["agent_id"], row["surface"])
        for row in rows
    }
