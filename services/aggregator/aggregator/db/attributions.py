"""Numbers of attributions: creates them within the limit of each organization, in transactions before the batch."""

from collections.abc import Collection, Iterable, Mapping
from sys import getsizeof

import asyncpg
import msgspec
import numpy as np
import structlog
from asyncpg.pgproto.pgproto import UUID
from runtime.postgres.pool import Connection, Pool

from aggregator import metrics
from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.columns.heads import NO_ATTRIBUTION
from aggregator.domain.decode import DecodedBatch, attributions_of
from aggregator.domain.limits.admission import Admission, Month, month_of
from aggregator.domain.people.attribution import Attribution

log = structlog.get_logger()
LEARN_AT_ONCE = 5_000
"""Attributions per statement, which then takes tenths of a second."""
_ENTRY_BYTES = 390

Numbers = dict[Attribution, int]
Place = tuple[int, UUID]
"""The key of a row: its organization and identity."""


def find_new_attributions(batch: DecodedBatch, catalog: Catalog) -> dict[Attribution, float]:
    """The attributions of a batch with the receipt of a use, without those of columns whose rows are known."""
    received = attributions_of(batch)
    for part in batch.columns:
        if catalog.places is not None and catalog.places.heads is part.heads:
            unknown = catalog.places.unknown_attributions_of(part.attribution)
            if not len(unknown):
                continue
            rows = np.flatnonzero(np.isin(part.attribution, unknown))
        else:
            rows = np.flatnonzero(part.attribution != NO_ATTRIBUTION)
        numbers, first = np.unique(part.attribution[rows], return_index=True)
        for number, at in zip(numbers.tolist(), part.received_ms[rows[first]].tolist(), strict=True):
            received.setdefault(part.heads.attributions[number], at / 1000)
    return received


async def learn_attributions(pool: Pool, catalog: Catalog, received: Mapping[Attribution, float]) -> None:
    """Load the numbers of attributions, and create those that have none yet. Their organizations have numbers.

    `received` gives the receipt of a use of each. In the month of the receipt, an organization creates at most
    `attributions_per_month`; further ones get the number of an attribution that stands for them (see Admission). The
    ledger keeps what was decided, so it does not matter if another process decides otherwise.
    """
    missing = sorted((key for key in received if key not in catalog.attribution_ids), key=received.__getitem__)
    for start in range(0, len(missing), LEARN_AT_ONCE):
        portion = missing[start : start + LEARN_AT_ONCE]
        places = _places(catalog, portion)
        numbers = await _select(pool, places)
        if new := {place: key for place, key in places.items() if key not in numbers}:
            numbers |= await _create(pool, catalog, new, received)
        catalog.attribution_ids.update(numbers)
        for key in portion:
            catalog.attribution_bytes[key.organization] += _ENTRY_BYTES + getsizeof("".join(key[1:]))


async def _create(
    pool: Pool, catalog: Catalog, places: Mapping[Place, Attribution], received: Mapping[Attribution, float]
) -> Numbers:
    """Numbers of attributions without a row, in the order of their receipt."""
    new = {key: (key.organization, month_of(received[key])) for key in places.values()}
    months, most = set(new.values()), catalog.attributions_per_month
    used, known = await _select_used(pool, catalog, months), Numbers()
    folded: Mapping[Month, int] = {}
    created, recorded = new, {key: key for key in new}
    if near := {month for month in months if used.get(month, 0) + len(new) > most}:
        named = [key for key, month in new.items() if month in near]
        others = {fold for key in named for fold in (key.fold_part(), key.fold_all())} - new.keys()
        known = await _select(pool, _places(catalog, sorted(others)))
        admission = Admission(used, known, most)
        in_order = sorted(new, key=lambda key: (received[key], key))
        recorded = {key: admission.admit(key, new[key][1]) for key in in_order}
        created, folded = admission.created, admission.folded
        places = _places(catalog, created)
    async with pool.acquire() as connection, connection.transaction():
        inserted = await _insert(connection, places)
        await _count(connection, catalog, [created[key] for key in inserted], folded)
    known |= inserted
    if met := {place: key for place, key in places.items() if key not in known}:  # another aggregator created them
        known |= await _select(pool, met)
    for (organization, month), number in folded.items():
        if number:
            catalog.has_folded = True
            metrics.FOLDED_ATTRIBUTIONS.inc(number)
            log.warning("attributions beyond the limit", organization=organization, month=str(month), folded=number)
    return {key: known[kept] for key, kept in recorded.items()}


async def _select_used(pool: Pool, catalog: Catalog, months: Collection[Month]) -> dict[Month, int]:
    names = {catalog.organizations[name].organization_id: name for name, _ in months}
    columns = zip(*sorted((catalog.organizations[name].organization_id, month) for name, month in months), strict=True)
    rows = await pool.fetch(SQL["select_attribution_months"], *map(list, columns))
    return {(names[row["organization_id"]], row["month"]): row["created"] for row in rows}


async def _count(
    connection: Connection, catalog: Catalog, created: Iterable[Month], folded: Mapping[Month, int]
) -> None:
    numbers = {place: [0, number] for place, number in folded.items()}
    for place in created:
        numbers.setdefault(place, [0, 0])[0] += 1
    rows = sorted((catalog.organizations[at[0]].organization_id, at[1], *sums) for at, sums in numbers.items())
    if rows:
        await connection.execute(SQL["count_attributions"], *columns_of(rows))


async def _insert(connection: Connection, places: Mapping[Place, Attribution]) -> Numbers:
    """Numbers of the rows that are new. The statement sorts them."""
    if not places:
        return {}
    rows = [(*place, *key[1:]) for place, key in places.items()]
    return _numbers(places, await connection.fetch(SQL["ensure_attributions"], *columns_of(rows)))


async def _select(pool: Pool, places: Mapping[Place, Attribution]) -> Numbers:
    if not places:
        return {}
    return _numbers(places, await pool.fetch(SQL["select_attributions"], *columns_of(places)))


def _places(catalog: Catalog, keys: Iterable[Attribution]) -> dict[Place, Attribution]:
    return {(catalog.organizations[key.organization].organization_id, UUID(key.identity)): key for key in keys}


def _numbers(places: Mapping[Place, Attribution], rows: Iterable[asyncpg.Record]) -> Numbers:
    return {places[row["organization_id"], row["identity"]]: row["attribution_id"] for row in rows}


async def select_parts(connection: Connection, numbers: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """By number, the parts of attributions as Attribution.counts_as() takes them."""
    rows = await connection.fetch(SQL["select_attribution_parts"], sorted(numbers))
    return {
        row["attribution_id"]: (row["actor_kind"], row["actor_id"], row["group_id"], _sorted(row["labels"]))
        for row in rows
    }


def _sorted(labels: str) -> str:
    """Labels as Attribution has them."""
    return msgspec.json.encode(msgspec.json.decode(labels), order="sorted").decode()
