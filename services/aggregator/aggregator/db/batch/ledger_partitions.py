"""Chooses the ledger partition of a use: the partition of the day inside its id or, if the ledger has none, a hash partition.

Any id counts once, whatever its form. A copy may arrive much later, with another `time`, through another Kafka partition and
aggregator. It meets the first copy because the id and the set of partitions place both, never their times of receipt:

1. The set changes only in ensure_ledger_partition() and drop_expired_partitions(). Creating or dropping a partition holds an
   ACCESS EXCLUSIVE lock on usage_ledger until it commits. A transaction that reads the set holds ROW EXCLUSIVE from before the
   read to its end. So two concurrent copies see the same set, choose the same partition, and its primary key decides.
2. A use of a day that is known to have a partition goes there without reading the set. If that day has no partition, Postgres
   refuses the row.
3. When a day gets its partition, the same transaction moves the rows there that were placed elsewhere for the lack of it. It
   finds them by ledger_strays, which is written in the transaction that places them.
4. A day is dropped when every row in it was received longer ago than a hash partition would keep it.
"""

import numpy as np
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.identity import hash_bucket
from runtime.postgres.pool import Connection

from aggregator.db.batch.columns import leave_days
from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.decode import DecodedBatch, UsageRecord

_DAY_S = 86_400
_SURELY_KEPT_DAYS = 400
"""A partition certainly exists still if its day is at most this much older than a receipt: it is dropped after 466
days, and a rebuild may read records that are up to a month old."""


async def place(connection: Connection, batch: DecodedBatch, catalog: Catalog) -> DecodedBatch:
    """The batch with the ledger partition of each use. One pass over the batch while the partitions of all its days are
    known."""
    days = {use.ledger_bucket for use in batch.uses}
    days.update(*(np.unique(part.ledger_bucket).tolist() for part in batch.columns))
    for use in batch.corrections:
        assert use.corrects is not None
        days |= {use.ledger_bucket, use.corrects[0]}
    if not days:
        return batch
    oldest_kept = max(batch.last_received.values()) // _DAY_S - _SURELY_KEPT_DAYS
    unsure = {day for day in days if day >= 0 and (day not in catalog.ledger_days or day < oldest_kept)}
    if not unsure:
        return batch
    await connection.execute(SQL["lock_ledger"])
    existing = {row["day"] for row in await connection.fetch(SQL["select_ledger_days"], sorted(unsure))}
    catalog.ledger_days |= existing
    absent = unsure - existing
    return await _place_elsewhere(connection, leave_days(batch, absent), absent) if absent else batch


async def _place_elsewhere(connection: Connection, batch: DecodedBatch, absent: set[int]) -> DecodedBatch:
    strays: dict[tuple[int, int, UUID], float] = {}

    def move(bucket: int, identity: bytes, received: float) -> int:
        if bucket not in absent:
            return bucket
        elsewhere = hash_bucket(identity)
        strays[bucket, elsewhere, UUID(identity)] = received
        return elsewhere

    def move_use(use: UsageRecord) -> UsageRecord:
        corrects = use.corrects and (move(*use.corrects, use.received), use.corrects[1])
        return use._replace(ledger_bucket=move(use.ledger_bucket, use.identity, use.received), corrects=corrects)

    uses, corrections = [*map(move_use, batch.uses)], [*map(move_use, batch.corrections)]
    rows = sorted((*key, received) for key, received in strays.items())
    await connection.execute(SQL["insert_strays"], *columns_of(rows))
    return batch._replace(uses=uses, corrections=corrections)
