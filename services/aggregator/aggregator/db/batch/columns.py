"""Counts columns: copies them into the partitions of the ledger, and finds their duplicates and conflicts."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import asyncpg
import numpy as np
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.calendar import EPOCH
from flexcredits_schemas.events import UsageAgent
from numpy.typing import NDArray
from runtime.postgres.pool import Connection

from aggregator.db.batch.ledger import Copy, are_same, content_in, record_unequal_copy
from aggregator.db.binary_copy import copy_rows
from aggregator.db.catalog_cache import Catalog, StaleCatalog
from aggregator.db.series import Key
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.heads import NO_ATTRIBUTION
from aggregator.domain.columns.usage_columns import UsageColumns, concatenate, heads_of
from aggregator.domain.counting.copies import Content
from aggregator.domain.counting.counts import count_hours
from aggregator.domain.counting.fold import Folded, fold_columns, latest_of_agents
from aggregator.domain.counting.places import UNKNOWN, Places
from aggregator.domain.counting.rates import NO_RATE, Rated, rate_columns
from aggregator.domain.counting.recent import RecentIdentities
from aggregator.domain.counting.run_sums import fold_run_columns
from aggregator.domain.decode import DecodedBatch, UsageRecord, to_uses
from aggregator.domain.people.attribution import Attribution
from aggregator.domain.rollup import Decision

Rows = NDArray[np.intp]
AMOUNT_MAX = 10**12
"""Micro-credits. Larger amounts take the exact path, so that no sum of a batch overflows 64 bits."""
_POSTGRES_EPOCH_US = 946_684_800_000_000
_RATED, _ATTRIBUTED, _OF_RUN = 1, 2, 4
"""Bits of the columns that some rows of the ledger have."""


def find_places(columns: UsageColumns, catalog: Catalog) -> Places:
    """The places of the heads of these rows, which the catalog has learned."""
    if catalog.places is None or catalog.places.heads is not columns.heads:
        catalog.places = Places(columns.heads)
    try:
        state = catalog.version, catalog.changes
        catalog.places.learn(columns.head, catalog.organizations, catalog.series_ids, catalog.folded_series, state)
        catalog.places.learn_attributions(columns.attribution, catalog.attribution_ids)
    except KeyError as error:  # as in decide_in
        raise StaleCatalog from error
    return catalog.places


def find_new_series(batch: DecodedBatch, catalog: Catalog) -> tuple[set[Key], set[str]]:
    """The series of a batch, without those of heads whose places are known, and all its organizations."""
    keys = {use.series for use in (*batch.uses, *batch.corrections)}
    known = set[str]()
    if batch.columns:
        heads, number = batch.columns[0].heads, heads_of(batch.columns)
        if catalog.places is not None and catalog.places.heads is heads:
            known, number = catalog.places.names_of(number), catalog.places.unknown_of(number)
        keys.update(heads.series[each] for each in number.tolist())
    return keys, known.union(key[0] for key in keys)


def rate(columns: UsageColumns, places: Places, catalog: Catalog) -> Rated:
    is_rated = places.is_rated[columns.head]
    return rate_columns(columns, is_rated, catalog.card, places.rates, (catalog.version, catalog.changes))


def leave_unusual(batch: DecodedBatch, catalog: Catalog) -> DecodedBatch:
    """The batch with the columns' rows that the exact path must count among its uses: usage of organizations without a
    time zone or near the limit of sums, quantities without a rate, large amounts, and identities that uses of the batch
    have too."""
    if not batch.columns:
        return batch
    columns, uses = concatenate(batch.columns), [*batch.uses]
    places, head = find_places(columns, catalog), columns.head
    credits = rate(columns, places, catalog).credits
    is_unusual = (places.zone_of(head) == UNKNOWN) | (credits < 0) | (credits > AMOUNT_MAX)
    if catalog.limited:
        is_unusual |= np.isin(places.organization[head], [*catalog.limited])
    columns = _leave(columns, is_unusual, uses)
    if uses:
        columns = _leave(columns, np.isin(_high(columns), _high_of(uses)), uses)
    return batch._replace(columns=[columns] if len(columns) else [], uses=uses)


def leave_days(batch: DecodedBatch, days: Iterable[int]) -> DecodedBatch:
    """The batch with the columns' rows of these ledger days among its uses."""
    uses = [*batch.uses]
    columns = [_leave(part, np.isin(part.ledger_bucket, [*days]), uses) for part in batch.columns]
    return batch._replace(columns=[part for part in columns if len(part)], uses=uses)


def _leave(part: UsageColumns, mask: NDArray[np.bool_], uses: list[UsageRecord]) -> UsageColumns:
    if not mask.any():
        return part
    uses += to_uses(part.take(mask))
    return part.take(~mask)


class InColumns(NamedTuple):
    """What the columns of a batch add: rows of rollups (none without columns), and the latest use of each agent."""

    sums: list[Folded]
    agents: list[tuple[int, UsageAgent, float]]


async def count_columns(
    connection: Connection, parts: Sequence[UsageColumns], catalog: Catalog, result: BatchResult
) -> InColumns:
    """Claim the identities of the columns, and sum those that are new. Their sums by organization and by run are added
    to `result`."""
    if not parts:
        return InColumns([], [])
    result.step = "ledger"
    columns = concatenate(parts)
    places = find_places(columns, catalog)
    usage = _usage(columns, places, rate(columns, places, catalog))
    new = await claim_columns(connection, usage, catalog.recent, result)
    credits = usage.rated.credits[new]
    folded = fold_columns(columns, new, credits, places, result.rollups)
    fold_run_columns(columns, new, credits, places, result.runs)
    return InColumns([folded], latest_of_agents(columns, new, places))


class _Usage(NamedTuple):
    columns: UsageColumns
    places: Places
    rated: Rated
    kinds: NDArray[np.uint8]
    """By row, the bits of its additional columns."""

    def content(self, row: int) -> Content:
        """content_of() of a row."""
        head, amount = self.columns.head[row], int(self.columns.amount[row])
        series, milliseconds = int(self.places.series[head]), int(self.columns.occurred_us[row]) // 1000
        unit, number = self.columns.heads.units[head], self.columns.attribution[row]
        attribution = None if number == NO_ATTRIBUTION else int(self.places.attribution_of(number))
        run = None if self.columns.run_ids[row] is None else self.columns.run[row].tobytes()
        if unit is None:
            return Content(series, milliseconds, amount, None, None, None, attribution, run, None)
        return Content(series, milliseconds, None, amount, unit, None, attribution, run, None)

    def series(self, row: int) -> Key:
        series: Key = self.columns.heads.series[self.columns.head[row]]
        return series

    def attribution(self, row: int) -> Attribution | None:
        number = self.columns.attribution[row]
        return None if number == NO_ATTRIBUTION else self.columns.heads.attributions[number]


def _usage(columns: UsageColumns, places: Places, rated: Rated) -> _Usage:
    kinds = np.where(rated.rate_id != NO_RATE, _RATED, 0).astype(np.uint8)
    kinds[columns.attribution != NO_ATTRIBUTION] |= _ATTRIBUTED
    kinds[columns.has_run] |= _OF_RUN
    return _Usage(columns, places, rated, kinds)


async def claim_columns(connection: Connection, usage: _Usage, recent: RecentIdentities, result: BatchResult) -> Rows:
    """Insert ledger rows and return the new ones, by partition of the ledger and identity. A row whose identity exists
    already is a duplicate, or a conflict if its content differs. Of the copies in a batch the first in the log wins."""
    columns = usage.columns
    claimed = [
        await _claim_day(connection, usage, _sort(columns, bucket), bucket, recent, result)
        for bucket in np.unique(columns.ledger_bucket).tolist()
    ]
    new = np.concatenate(claimed)
    result.columns.counted += count_hours(columns, new)
    result.columns.received_ms = columns.received_ms[new]
    return new


def _sort(columns: UsageColumns, bucket: int) -> Rows:
    """The rows of one partition of the ledger by identity, copies by their places in the log: each index is then
    filled from left to right, two transactions never deadlock, and the first copy comes first."""
    rows = np.flatnonzero(columns.ledger_bucket == bucket)
    high = _high(columns)[rows]
    order = np.argsort(high)
    rows, high = rows[order], high[order]
    is_tied = np.zeros(len(rows), np.bool_)
    is_tied[1:] = high[1:] == high[:-1]
    is_tied[:-1] |= is_tied[1:]
    tied = rows[is_tied]  # the few copies
    rows[is_tied] = tied[
        np.lexsort((columns.offset[tied], columns.partition[tied], _low(columns)[tied], high[is_tied]))
    ]
    return rows


def _high(columns: UsageColumns) -> NDArray[np.uint64]:
    """The first 64 bits of the identities."""
    return columns.identity.view(">u8")[::2].astype(np.uint64)


def _high_of(uses: Iterable[UsageRecord]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(use.identity[:8] for use in uses), ">u8").astype(np.uint64)


def remember(decisions: Iterable[Decision], recent: RecentIdentities) -> None:
    """Add what the exact path claimed to the hint, so that its copies do not make a COPY of columns fail."""
    recent.meet(_high_of(decision.use for decision in decisions))


def _low(columns: UsageColumns) -> NDArray[np.uint64]:
    """The last 64 bits of the identities."""
    return columns.identity.view(">u8")[1::2].astype(np.uint64)


async def _claim_day(
    connection: Connection, usage: _Usage, rows: Rows, bucket: int, recent: RecentIdentities, result: BatchResult
) -> Rows:
    columns = usage.columns
    identity, high, low = columns.identity[rows], _high(columns)[rows], _low(columns)[rows]
    is_copy = np.zeros(len(rows), np.bool_)
    is_copy[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    first = np.maximum.accumulate(np.where(is_copy, 0, np.arange(len(rows))))
    """By row, the place of the first copy in the batch."""
    firsts = np.flatnonzero(~is_copy)
    suspects = firsts[recent.meet(high[firsts])]
    known = await _select_known(connection, bucket, identity[suspects])
    while True:
        is_known = np.zeros(len(rows), np.bool_)
        is_known[[at for at in suspects.tolist() if identity[at].tobytes() in known]] = True
        new = firsts[~is_known[firsts]]
        try:
            async with connection.transaction():
                await _copy(connection, usage, rows[new], bucket)
            break
        except asyncpg.UniqueViolationError:
            # The hint missed a copy, or another aggregator has just counted it. The index has decided.
            suspects = firsts
            known = await _select_known(connection, bucket, identity[suspects])
    copies = np.flatnonzero(is_copy | is_known)
    pairs = [
        Copy(
            known.get(identity[at].tobytes(), usage.content(rows[first[at]])),
            usage.content(rows[at]),
            usage.series(rows[at]),
            usage.attribution(rows[at]),
        )
        for at in copies.tolist()
    ]
    same = np.array(await are_same(connection, pairs), np.bool_)
    result.columns.duplicates += count_hours(columns, rows[copies[same]])
    for use in to_uses(columns.take(rows[copies[~same]])):
        record_unequal_copy(use, result)
    return rows[new]


async def _select_known(connection: Connection, bucket: int, identities: NDArray[np.void]) -> dict[bytes, Content]:
    """The contents of these events that the ledger has, by identity."""
    if not len(identities):
        return {}
    rows = await connection.fetch(SQL["select_ledger"], bucket, [UUID(identity) for identity in identities.tolist()])
    return {row["identity"].bytes: content_in(row) for row in rows}


async def _copy(connection: Connection, usage: _Usage, rows: Rows, bucket: int) -> None:
    """Insert rows into a partition of the ledger, those that have the same columns together. Raises
    UniqueViolationError."""
    columns, places, rated, kinds = usage
    for kind in np.unique(kinds[rows]).tolist():
        some = rows[kinds[rows] == kind]
        head, number = columns.head[some], len(some)
        fields = {
            "ledger_bucket": (np.full(number, bucket), ">i4"),
            "identity": (columns.identity[some], "V16"),
            "organization_id": (places.organization[head], ">i4"),
            "series_id": (places.series[head], ">i4"),
            "occurred_at": (columns.occurred_us[some] - _POSTGRES_EPOCH_US, ">i8"),
            "credits": (rated.credits[some], ">i8"),
            "received_at": (columns.received_ms[some] * 1000 - _POSTGRES_EPOCH_US, ">i8"),
            "kafka_offset": (columns.offset[some], ">i8"),
            "kafka_partition": (columns.partition[some], ">i4"),
            "held": (np.zeros(number, np.uint8), "u1"),
        }
        if kind & _RATED:
            fields |= {"rate_id": (rated.rate_id[some], ">i4"), "quantity": (columns.amount[some], ">i8")}
        if kind & _ATTRIBUTED:
            fields["attribution_id"] = (places.attribution_of(columns.attribution[some]), ">i8")
        if kind & _OF_RUN:
            fields["run"] = (columns.run[some], "V16")
        await copy_rows(connection, ledger_table(bucket), fields)


def ledger_table(bucket: int) -> str:
    """The partition of the ledger for a day since 1970, or for ids without a day (see bucket_of)."""
    return f"usage_ledger_hash_{-bucket}" if bucket < 0 else f"usage_ledger_{EPOCH + timedelta(days=bucket):%Y%m%d}"
