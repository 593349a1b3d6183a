"""Counts columns: copies them into the partitions of the ledger, and finds their duplicates and conflicts."""

import io
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg
import numpy as np
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.calendar import EPOCH
from flexcredits_schemas.events import UsageAgent
from numpy.typing import NDArray
from runtime.postgres.pool import Connection

from aggregator.db.batch.ledger import content_in, reject_conflict
from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.usage_columns import UsageColumns, concatenate
from aggregator.domain.counting.cells import Cells, cells_of
from aggregator.domain.counting.copies import Content
from aggregator.domain.counting.counts import count_hours
from aggregator.domain.counting.fold import fold_columns, latest_of_agents
from aggregator.domain.counting.places import UNKNOWN, Places
from aggregator.domain.counting.recent import RecentIdentities
from aggregator.domain.decode import DecodedBatch, UsageRecord, to_uses

Rows = NDArray[np.intp]
AMOUNT_MAX = 10**12
"""Micro-credits. Larger amounts take the exact path, so that no sum of a batch overflows 64 bits."""
_POSTGRES_EPOCH_US = 946_684_800_000_000
_LEDGER = (
    "ledger_bucket", "identity", "organization_id", "series_id", "occurred_at", "credits", "received_at", "kafka_offset",
    "kafka_partition", "held",
)  # fmt: skip
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"


def find_places(columns: UsageColumns, catalog: Catalog) -> Places:
    """The places of the heads of these rows, which the catalog has learned."""
    if catalog.places is None or catalog.places.heads is not columns.heads:
        catalog.places = Places(columns.heads)
    catalog.places.learn(columns.head, catalog.organizations, catalog.series_ids, (catalog.version, catalog.changes))
    return catalog.places


def leave_unusual(batch: DecodedBatch, catalog: Catalog) -> DecodedBatch:
    """The batch with the columns' rows that the exact path must count among its uses: usage of organizations without a
    time zone or near the limit of sums, quantities, large amounts, and identities that uses of the batch have too."""
    if not batch.columns:
        return batch
    columns, uses = concatenate(batch.columns), [*batch.uses]
    places, head = find_places(columns, catalog), columns.head
    is_unusual = (places.zone_of(head) == UNKNOWN) | places.is_rated[head] | (columns.amount > AMOUNT_MAX)
    if catalog.limited:
        is_unusual |= np.isin(places.organization[head], [*catalog.limited])
    columns = _leave(columns, is_unusual, uses)
    if uses:
        high = np.frombuffer(b"".join(use.identity[:8] for use in uses), ">u8").astype(np.uint64)
        columns = _leave(columns, np.isin(_high(columns), high), uses)
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
    """What the columns of a batch add: rows of rollups, and the latest use of each agent."""

    quarters: Cells
    days: Cells
    agents: list[tuple[int, UsageAgent, float]]


async def count_columns(
    connection: Connection, parts: Sequence[UsageColumns], catalog: Catalog, result: BatchResult
) -> InColumns:
    """Claim the identities of the columns, and sum those that are new. Their sums by organization are added to
    `result.rollups`."""
    if not parts:
        return InColumns(cells_of({}), cells_of({}), [])
    result.step = "ledger"
    columns = concatenate(parts)
    places = find_places(columns, catalog)
    new = await claim_columns(connection, columns, places, catalog.recent, result)
    quarters, days = fold_columns(columns, new, columns.amount[new], places, result.rollups)
    return InColumns(quarters, days, latest_of_agents(columns, new, places))


async def claim_columns(
    connection: Connection, columns: UsageColumns, places: Places, recent: RecentIdentities, result: BatchResult
) -> Rows:
    """Insert ledger rows and return the new ones, by partition of the ledger and identity. A row whose identity exists
    already is a duplicate, or a conflict if its content differs. Of the copies in a batch the first in the log wins."""
    claimed = [
        await _claim_day(connection, columns, places, _sort(columns, bucket), bucket, recent, result)
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
    if (high[1:] == high[:-1]).any():
        rows = rows[np.lexsort((columns.offset[rows], columns.partition[rows], _low(columns)[rows], high))]
    return rows


def _high(columns: UsageColumns) -> NDArray[np.uint64]:
    """The first 64 bits of the identities."""
    return columns.identity.view(">u8")[::2].astype(np.uint64)


def _low(columns: UsageColumns) -> NDArray[np.uint64]:
    """The last 64 bits of the identities."""
    return columns.identity.view(">u8")[1::2].astype(np.uint64)


async def _claim_day(
    connection: Connection, columns: UsageColumns, places: Places, rows: Rows, bucket: int, recent: RecentIdentities,
    result: BatchResult,
) -> Rows:  # fmt: skip
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
                await _copy(connection, columns, places, rows[new], bucket)
            break
        except asyncpg.UniqueViolationError:
            # The hint missed a copy, or another aggregator has just counted it. The index has decided.
            suspects = firsts
            known = await _select_known(connection, bucket, identity[suspects])
    copies = np.flatnonzero(is_copy | is_known)
    is_same = [
        known.get(identity[at].tobytes(), _content(columns, places, rows[first[at]]))
        == _content(columns, places, rows[at])
        for at in copies.tolist()
    ]
    same = np.array(is_same, np.bool_)
    result.columns.duplicates += count_hours(columns, rows[copies[same]])
    for use in to_uses(columns.take(rows[copies[~same]])):
        reject_conflict(use, result)
    return rows[new]


def _content(columns: UsageColumns, places: Places, row: int) -> Content:
    """content_of() of a row."""
    series = int(places.series[columns.head[row]])
    return Content(series, int(columns.occurred_us[row]) // 1000, int(columns.amount[row]), None, None, None)


async def _select_known(connection: Connection, bucket: int, identities: NDArray[np.void]) -> dict[bytes, Content]:
    """The contents of these events that the ledger has, by identity."""
    if not len(identities):
        return {}
    rows = await connection.fetch(SQL["select_ledger"], bucket, [UUID(identity) for identity in identities.tolist()])
    return {row["identity"].bytes: content_in(row) for row in rows}


async def _copy(connection: Connection, columns: UsageColumns, places: Places, rows: Rows, bucket: int) -> None:
    """Insert rows into a partition of the ledger. Raises UniqueViolationError."""
    if len(rows):
        head, number = columns.head[rows], len(rows)
        body = _copy_body(
            (np.full(number, bucket), ">i4"),
            (columns.identity[rows], "V16"),
            (places.organization[head], ">i4"),
            (places.series[head], ">i4"),
            (columns.occurred_us[rows] - _POSTGRES_EPOCH_US, ">i8"),
            (columns.amount[rows], ">i8"),
            (columns.received_ms[rows] * 1000 - _POSTGRES_EPOCH_US, ">i8"),
            (columns.offset[rows], ">i8"),
            (columns.partition[rows], ">i4"),
            (np.zeros(number, np.uint8), "u1"),
        )
        await connection.copy_to_table(ledger_table(bucket), source=io.BytesIO(body), columns=_LEDGER, format="binary")


def ledger_table(bucket: int) -> str:
    """The partition of the ledger for a day since 1970, or for ids without a day (see bucket_of)."""
    return f"usage_ledger_hash_{-bucket}" if bucket < 0 else f"usage_ledger_{EPOCH + timedelta(days=bucket):%Y%m%d}"


def _copy_body(*fields: tuple[NDArray[Any], str]) -> bytes:
    """Rows without nulls in Postgres' binary COPY format: the number of fields, then for each its length and value."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for at, (_, kind) in enumerate(fields):
        layout += [(f"length{at}", ">i4"), (f"value{at}", kind)]
    rows = np.empty(len(fields[0][0]), layout)
    rows["fields"] = len(fields)
    for at, (values, kind) in enumerate(fields):
        rows[f"length{at}"], rows[f"value{at}"] = np.dtype(kind).itemsize, values
    return _COPY_HEADER + rows.tobytes() + _COPY_END
